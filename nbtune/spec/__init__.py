"""What to run. Pure Python: nothing here imports Ray, IPython or a widget."""
