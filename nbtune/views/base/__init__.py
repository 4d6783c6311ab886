"""What all widgets share: their files and messages, polling, decimation."""
