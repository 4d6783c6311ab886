"""The search algorithms, a module for each library."""
