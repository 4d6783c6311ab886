"""The dashboard of a running experiment."""
