"""A Ray inside the kernel."""
