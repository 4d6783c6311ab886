"""Connecting to a Ray cluster, and starting one."""
