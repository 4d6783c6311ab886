"""The actor that owns an experiment, and what its process imports ahead."""
