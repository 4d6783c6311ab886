"""The resources of a cluster, their usage, and the storage that its nodes share."""
