"""Ray's worker processes by fork: one process imports what they all need, each of them starts as a copy of it."""
