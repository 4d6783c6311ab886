"""The front end in a real browser, on its preview page: neither Jupyter nor Ray."""
