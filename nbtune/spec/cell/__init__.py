"""The cell language: from a cell's text to its parameters and a body that runs, and what that takes along."""
