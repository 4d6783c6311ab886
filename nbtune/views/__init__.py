"""What a person sees. Nothing here imports Ray, and nothing outside imports it before it is shown."""
