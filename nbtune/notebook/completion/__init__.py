"""The tab key: completes the lines of ``%%tune`` and ``%tune``, and the names of nbtune in a cell with ``%%tune``."""
