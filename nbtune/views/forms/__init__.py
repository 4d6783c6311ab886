"""The Python halves of the forms and of the cluster panel."""
