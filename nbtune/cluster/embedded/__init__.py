"""A Ray of this kernel's own, and processes started ahead on it."""
