"""The four widgets of the dashboard: their traits. widgets/README.md says what travels between the halves."""

from __future__ import annotations

import traitlets

from nbtune.views.base.channel import Live, script, styles

__all__ = ["Curves", "Head", "Parallel", "Trials"]


class Head(Live):
    """Name, state, bar, counts, best, time, and what is ordered of the whole experiment.

    Attributes:
        state: what `nbtune.views.live.state.head_state` returns.
        alive: counted up while the experiment runs, so that the browser sees that the kernel does.
    """

    _esm = script("head")
    _css = styles("head")
    state = traitlets.Dict().tag(sync=True)
    alive = traitlets.Int(0).tag(sync=True)


class Curves(Live):
    """One metric of all trials, over iterations or seconds.

    Attributes:
        metric: the one that is drawn; the browser may set it.
        metrics: those that can be drawn.
        mode: "min", "max" or None: of the experiment's metric.
        settings: x axis, logarithmic axes and smoothing, as the browser has set them.
        selection: the numbers of the selected trials.
    """

    _esm = script("curves")
    _css = styles("curves")
    metric = traitlets.Unicode("").tag(sync=True)
    metrics = traitlets.List().tag(sync=True)
    mode = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    settings = traitlets.Dict({"x": "iteration", "logx": False, "logy": False, "smooth": 0}).tag(sync=True)
    selection = traitlets.List().tag(sync=True)


class Trials(Live):
    """The table of trials.

    Attributes:
        selection: the numbers of the selected trials.
    """

    _esm = script("trials")
    _css = styles("trials")
    selection = traitlets.List().tag(sync=True)


class Parallel(Live):
    """Parallel coordinates over parameters and objective.

    Attributes:
        selection: the numbers of the selected trials.
    """

    _esm = script("parallel")
    _css = styles("parallel")
    selection = traitlets.List().tag(sync=True)
