"""What all widgets share: their files, their channel to the browser, polling, decimation."""
