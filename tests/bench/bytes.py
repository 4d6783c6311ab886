"""The size of a finished cell in the notebook file that JupyterLab saves."""

from __future__ import annotations

import sys
from typing import Any

from tests.bench.measure import Options, Row, probe, write_result

__all__ = ["measure"]

COUNTS = (20, 1000)
REPORTS = 1000
WITH_STATE = "with widget state"
"""With JupyterLab's "Save Widget State Automatically", which a FigureWidget needs to be visible in the file."""
CELLS = {
    "nbtune": """%load_ext nbtune
from nbtune import testing
from nbtune.results.experiment import Experiment
from tests.bench.big import finished
exp = Experiment(testing.Replay(finished({trials}, {reports}, over=True))).wait()
assert exp.status == "finished", exp.error
get_ipython().magics_manager.registry["NbTune"]._show(exp)  # the output of a %%tune cell""",
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
    """Measure each once, since sizes do not vary."""
    rows = []
    for side in CELLS:
        for trials in COUNTS:
            for with_state in ("", WITH_STATE) if side != "Tune's reporter" else ("",):
                results = probe("bytes", side, str(trials), with_state)
                name = f"{side} {with_state}".strip()
                limit = 64 if side == "nbtune" and not with_state else None
                note = "" if with_state else f"of them the output's {results['output'] / 1000:.3g} kB"
                what = f"a cell of {trials:,} trials in {name} adds to the file"
                rows.append(Row("bytes", what, results["added"] / 1000, "kB", limit, note, {"results": results}))
    return rows


def _size(value: Any) -> int:
    import json

    return len(json.dumps(value, ensure_ascii=False).encode())


def _probe(side: str, trials: int, with_state: bool) -> None:
    import nbformat

    from tests.bench.lab import lab

    with lab(save_state=with_state) as opened:
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
        opened.page.wait_for_timeout(1000)  # JupyterLab collects the state after the key press; a large one takes time
        notebook.save()
        after = file.stat().st_size
        saved = nbformat.read(file, as_version=4)
        outputs = saved.cells[1].outputs
        if any(output.output_type == "error" for output in outputs) or not outputs:
            raise RuntimeError(f"{outputs} {errors}")
        state = saved.metadata.get("widgets", {})
    write_result(added=after - before, output=_size(outputs), state=_size(state) if state else 0)


if __name__ == "__main__":
    _probe(sys.argv[1], int(sys.argv[2]), bool(sys.argv[3]))
