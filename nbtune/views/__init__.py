"""What the user sees. Nothing here imports Ray, and nothing imports a view before it is shown."""
