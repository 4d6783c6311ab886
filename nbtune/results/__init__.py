"""What a run tells, and what can be done to it: state, tables, trials, controls."""
