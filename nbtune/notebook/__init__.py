"""What the user calls in a notebook: the magics, the forms and the cluster panel."""
