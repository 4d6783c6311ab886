"""The kernel's side of the protocol: starts and finds drivers, reads stored experiments and the output of trials."""
