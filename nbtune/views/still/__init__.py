"""The picture of an experiment that stays in the notebook's file."""
