"""A cluster of this machine's own that outlives the kernel."""
