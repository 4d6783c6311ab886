"""The results of an experiment, and its handles: state, tables, trials, commands."""
