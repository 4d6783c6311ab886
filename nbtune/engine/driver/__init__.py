"""The actor that owns an experiment, and the imports of its process."""
