"""Reaching a cluster safely: addresses, tokens, versions, and what this kernel is connected to."""
