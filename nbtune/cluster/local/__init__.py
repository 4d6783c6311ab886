"""A local cluster that outlives the kernel."""
