"""The widgets of the dashboard. widgets/README.md describes their traits and messages."""

from __future__ import annotations

import traitlets

from nbtune.views.base.channel import BaseWidget, script, styles

__all__ = ["Curves", "Header", "Parallel", "Pareto", "PlotlyAhead", "Trials"]


class Header(BaseWidget):
    """Name, status, progress, best trial, times and buttons of the experiment.

    Attributes:
        state: what `nbtune.views.live.state.header_state` returns.
        alive: a counter that increases while the experiment runs: it shows the browser that the kernel is alive.
    """

    _esm = script("header")
    _css = styles("header")
    state = traitlets.Dict().tag(sync=True)
    alive = traitlets.Int(0).tag(sync=True)


class Curves(BaseWidget):
    """The curves of one metric of all trials, over iterations or seconds.

    Attributes:
        metric: the metric that is drawn; the browser may set it.
        metrics: the metrics to choose from.
        mode: the mode of the experiment's metric: "min", "max" or None.
        settings: x axis, logarithmic axes and smoothing; the browser sets them.
        selection: the numbers of the selected trials.
    """

    _esm = script("curves")
    _css = styles("curves")
    metric = traitlets.Unicode("").tag(sync=True)
    metrics: traitlets.List[str] = traitlets.List().tag(sync=True)
    mode = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    settings = traitlets.Dict({"x": "iteration", "logx": False, "logy": False, "smooth": 0}).tag(sync=True)
    selection: traitlets.List[int] = traitlets.List().tag(sync=True)


class PlotlyAhead(BaseWidget):
    """Brings plotly.js to the page before the first plot needs it. It is not displayed, and closes itself then."""

    _esm = script("plotly-ahead")

    def __init__(self) -> None:
        super().__init__({"loaded": lambda _: self.close()})


class Trials(BaseWidget):
    """The table of trials.

    Attributes:
        selection: the numbers of the selected trials.
        arrangement: the columns in the user's order, each with whether it is shown; the browser sets it.
    """

    _esm = script("trials")
    _css = styles("trials")
    arrangement: traitlets.List[list[object]] = traitlets.List().tag(sync=True)
    selection: traitlets.List[int] = traitlets.List().tag(sync=True)


class Parallel(BaseWidget):
    """Parallel coordinates over the parameters and the metric.

    Attributes:
        selection: the numbers of the selected trials.
    """

    _esm = script("parallel")
    _css = styles("parallel")
    selection: traitlets.List[int] = traitlets.List().tag(sync=True)


class Pareto(BaseWidget):
    """The trials of several objectives as points, with the Pareto front.

    Attributes:
        axes: the objectives on the x and the y axis, by their positions; the browser sets them.
        selection: the numbers of the selected trials.
    """

    _esm = script("pareto")
    _css = styles("pareto")
    axes: traitlets.List[int] = traitlets.List([0, 1]).tag(sync=True)
    selection: traitlets.List[int] = traitlets.List().tag(sync=True)
