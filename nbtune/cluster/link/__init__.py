"""Connections to clusters: addresses, tokens, versions."""
