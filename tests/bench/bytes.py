"""What a finished cell adds to the notebook's file, as JupyterLab saves it."""

from __future__ import annotations

import sys
from typing import Any

from tests.bench.measure import Options, Row, hand_back, probe

__all__ = ["measure"]

COUNTS = (20, 1000)
REPORTS = 1000
KEPT = "with widget state"
"""JupyterLab's "Save Widget State Automatically", without which nobody sees a FigureWidget in the file."""
CELLS = {
    "nbtune": """%load_ext nbtune
from nbtune import testing
from nbtune.results.experiment import Experiment
from tests.bench.big import finished
exp = Experiment(testing.Replay(finished({trials}, {reports}, over=True))).wait()
assert exp.status == "finished", exp.error
get_ipython().magics_manager.registry["NbTune"]._show(exp)  # what a %%tune cell ends with""",
    "FigureWidget": """import numpy as np, plotly.graph_objects as go
from tests.bench.big import values
x = np.arange(1, {reports} + 1)
ys = [values(number, 1, {reports} + 1) for number in range({trials})]
fig = go.FigureWidget([go.Scatter(x=x, y=y, mode="lines", name=str(number)) for number, y in enumerate(ys)])
display(fig)""",
    "Tune's reporter": """from tests.bench.stock_reporter import reporter, trials_of
shown = reporter({trials})
shown.report(trials_of({trials}, {reports}, over=True), True)""",
}
SEEN = {"nbtune": ".nbt-curves-plot .trace", "FigureWidget": ".js-plotly-plot .trace"}


def measure(options: Options) -> list[Row]:
    """Measure each once: bytes do not vary."""
    rows = []
    for side in CELLS:
        for trials in COUNTS:
            for kept in ("", KEPT) if side != "Tune's reporter" else ("",):
                found = probe("bytes", side, str(trials), kept)
                name = f"{side} {kept}".strip()
                reach = 64 if side == "nbtune" and not kept else None
                note = "" if kept else f"of them the output's {found['output'] / 1000:.3g} kB"
                what = f"a cell of {trials:,} trials in {name} adds to the file"
                rows.append(Row("bytes", what, found["added"] / 1000, "kB", reach, note, {"found": found}))
    return rows


def _size(value: Any) -> int:
    import json

    return len(json.dumps(value, ensure_ascii=False).encode())


def _probe(side: str, trials: int, kept: bool) -> None:
    import nbformat

    from tests.bench.lab import lab

    with lab(save_state=kept) as opened:
        file = opened.folder / "bench.ipynb"
        notebook = opened.notebook(CELLS[side].format(trials=trials, reports=REPORTS))
        notebook.save()
        before = file.stat().st_size
        cell = notebook.run(1, timeout=200)
        if side in SEEN:
            opened.page.locator(SEEN[side]).first.wait_for(state="attached", timeout=200_000)
        notebook.idle()
        opened.page.wait_for_timeout(2000)
        errors = cell.locator("[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts()
        notebook.save()
        opened.page.wait_for_timeout(1000)  # the state is put together after the key, and a big one takes long
        notebook.save()
        after = file.stat().st_size
        saved = nbformat.read(file, as_version=4)
        outputs = saved.cells[1].outputs
        if any(output.output_type == "error" for output in outputs) or not outputs:
            raise RuntimeError(f"{outputs} {errors}")
        state = saved.metadata.get("widgets", {})
    hand_back(added=after - before, output=_size(outputs), state=_size(state) if state else 0)


if __name__ == "__main__":
    _probe(sys.argv[1], int(sys.argv[2]), bool(sys.argv[3]))
