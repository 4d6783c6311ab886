"""The data that kernel, driver and trials exchange, and that the event log stores. Independent of Tune's loop."""
