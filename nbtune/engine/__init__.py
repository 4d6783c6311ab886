"""What runs on the cluster: the driver, its event log, its controls, and the trial."""
