"""The schedulers, a module for each."""
