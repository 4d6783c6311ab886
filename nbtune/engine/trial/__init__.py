"""What runs in a trial's process: the user's program, its session, its checkpoints and its output."""
