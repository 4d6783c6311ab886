"""The cell language: from the text of a cell to its parameters, its executable body, and the variables that it uses."""
