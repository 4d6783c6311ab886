"""Search algorithms and schedulers by name, and search spaces converted for Ray Tune and Optuna."""
