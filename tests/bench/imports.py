"""The time that `import nbtune` and `%load_ext nbtune` add to a bare interpreter and a bare IPython."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from tests.bench.measure import ROOT, Options, Row, alternate, clean_environment, median

__all__ = ["measure"]

HEAVY = ("ray", "torch", "plotly", "pandas", "optuna")
_CHECK = f"import sys; print([name for name in {HEAVY!r} if name in sys.modules])"
_IPYTHON = (
    "import sys; from IPython import start_ipython; start_ipython(['--quick', '--colors=NoColor', '-c', {code!r}])"
)
SIDES = {
    "bare interpreter": _CHECK,
    "import nbtune": f"import nbtune; {_CHECK}",
    "bare IPython": _IPYTHON.format(code=_CHECK),
    "%load_ext nbtune": _IPYTHON.format(code=f"%load_ext nbtune\n{_CHECK}"),
}


def measure(options: Options) -> list[Row]:
    """Time whole processes alternately; the difference of the medians is the time of nbtune."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**clean_environment(), "IPYTHONDIR": folder}

        def run(side: str) -> dict[str, object]:
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", SIDES[side]],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
                stdin=subprocess.DEVNULL,
            )
            took = time.perf_counter() - began
            said = done.stdout.strip().splitlines()
            if not said or not said[-1].startswith("["):
                raise RuntimeError(f"{side}: {done.stdout}{done.stderr}")
            return {"seconds": took, "heavy": said[-1]}

        for side in SIDES:  # writes the bytecode, makes IPython's profile
            run(side)
        results = alternate(max(9, 3 * options.rounds), tuple(SIDES), run)
    seconds = {side: [one["seconds"] for one in rounds] for side, rounds in results.items()}
    rows = []
    for side, bare in (("import nbtune", "bare interpreter"), ("%load_ext nbtune", "bare IPython")):
        above = median(seconds[side]) - median(seconds[bare])
        note = f"{bare} {median(seconds[bare]):.2f} s"
        rows.append(Row("imports", f"{side}, above a {bare}", above, limit=0.15, note=note, data=seconds))
        heavy = {one["heavy"] for one in results[side]} - {"[]"}
        count = float(sum(len(eval(names)) for names in heavy))
        note = " ".join(sorted(heavy)) or f"none of {', '.join(HEAVY)}"
        rows.append(Row("imports", f"{side}: heavy packages imported", count, "", 0, note))
    return rows


if __name__ == "__main__":
    print(os.linesep.join(" | ".join(row.cells()) for row in measure(Options())))
