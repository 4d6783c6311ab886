"""A distributed trial: a Ray Train run with several workers."""
