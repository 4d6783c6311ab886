"""What a form's fields say: read into spaces and options, checked field by field, and written as a cell."""
