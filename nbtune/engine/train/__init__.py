"""A trial that is a Ray Train run of several workers."""
