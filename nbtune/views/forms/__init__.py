"""The widgets of the forms and of the cluster panel."""
