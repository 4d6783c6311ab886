"""A Ray inside the kernel, and prestarted processes on it."""
