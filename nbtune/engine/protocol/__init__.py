"""What crosses between kernel, driver and trials, and is kept in the event log. Nothing here knows Tune's loop."""
