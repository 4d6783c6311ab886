"""Ray worker processes by fork: one process imports what all need, and the workers are forked from it."""
