"""How far the trials of a test may go: a file with a number of steps, which they read before each step."""

from __future__ import annotations

import os
from pathlib import Path


def allow(limit: Path, steps: int) -> None:
    """Let trials go up to a number of steps. They poll the file, so it is replaced in one step, and never half written.

    Args:
        limit: the file.
        steps: how many steps a trial may make; a trial that has made them waits.
    """
    new = limit.with_name(f"{limit.name}.new")
    new.write_text(str(steps))
    os.replace(new, limit)
