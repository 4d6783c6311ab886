"""The run of Ray Tune in the driver: what steers, records and stops it."""
