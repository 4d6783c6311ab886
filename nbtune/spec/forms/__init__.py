"""The fields of forms: parsed into spaces and options, validated, and written as a cell."""
