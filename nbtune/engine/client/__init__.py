"""The kernel's side of the wire: drivers started and found, stored experiments, what trials have printed."""
