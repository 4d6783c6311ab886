"""Everything private to Ray that the engine uses, each with the reason; `tests/unit/test_private_ray.py` checks it."""
