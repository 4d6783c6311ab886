"""Where a person comes in: the magics, and forms and panels put together with the rest."""
