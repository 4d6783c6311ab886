"""The options of an experiment: one table, and how their values are read from a line, an object or a default."""
