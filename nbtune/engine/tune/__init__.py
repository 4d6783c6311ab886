"""The run of Ray Tune in the driver: its control, its events and its end."""
