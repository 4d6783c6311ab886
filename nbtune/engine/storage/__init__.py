"""What is on disk: where experiments are kept, the event log, and the snapshot that resuming needs."""
