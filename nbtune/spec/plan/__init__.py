"""How many trials fit on a cluster at once, by Ray's placement rules, and how long an experiment will take."""
