"""How many trials fit on a cluster at once, by Ray's own rules, and how long an experiment may take."""
