"""Search spaces as values: domains, parameters, expressions over other parameters, and conversions."""
