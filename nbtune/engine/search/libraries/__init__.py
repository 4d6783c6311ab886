"""Ray Tune's searchers, mended where they wait forever or learn less than their library can."""
