"""The options of an experiment: one table, and the parsers of their values."""
