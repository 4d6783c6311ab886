"""What is on disk: where experiments are kept, the event log, and what a resumption needs."""
