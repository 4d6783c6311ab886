"""The static picture of an experiment in the notebook's file."""
