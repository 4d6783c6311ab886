"""From a request to a running experiment: new, resumed or attached."""
