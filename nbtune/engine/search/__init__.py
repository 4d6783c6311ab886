"""Search algorithms and schedulers by name, and spaces as they take them."""
