"""From what a user asks for to a running experiment, new, resumed or found again."""
