"""Where to run: connecting to a Ray cluster, starting one, and what is there."""
