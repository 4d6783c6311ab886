"""Figures of populations: which parameters the trials were trained with, and which trials were copied."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nbtune.engine.protocol.recorded_space import recorded_domain
from nbtune.errors import ExperimentError, did_you_mean
from nbtune.results.columns import ABSENT
from nbtune.results.lineage import Phase
from nbtune.results.store import Store
from nbtune.spec.space.values import label, same

__all__ = ["FIGURES", "family_figure", "mark_curves", "schedule_figure"]

_BEST, _OTHER, _COPY = "#c85200", "#8a8a8a", "#0072b2"  # the dashboard's colours (widgets/src/theme.css)


def schedule_figure(store: Store, trials: Collection[int] | None = None, params: Collection[str] | None = None) -> Any:
    """Return a figure of the parameters over iterations: a row for each, a line for each trial, copies marked.

    A line is what the present state of the trial was trained with. Before a copy, these are the parameters of the trial
    that was copied.

    Args:
        store: the experiment's state.
        trials: the trials; all if None.
        params: the parameters; those that were changed if None.

    Raises:
        ExperimentError: no parameter was changed, or there is no such trial or parameter.
    """
    from plotly.subplots import make_subplots

    phases = {number: store.lineage.phases(number) for number in _with_reports(store, trials)}
    names = list(_changed(phases) if params is None else params)
    if not names:
        raise ExperimentError(
            "plot 'schedule' needs a trial whose parameters were changed while it ran, as by the scheduler pbt or pb2"
        )
    space = store.metadata.get("space", {})
    for name in names:
        if name not in space:
            raise ExperimentError(f"there is no parameter {name!r}{did_you_mean(name, space)}")
    figure = make_subplots(len(names), 1, shared_xaxes=True, vertical_spacing=0.3 / len(names))
    for row, name in enumerate(names, 1):
        for number in _best_last(store, phases):
            _add_schedule(figure, store, number, phases[number], name, row)
        copies = {phase.text: phase for found in phases.values() for phase in found if phase.source >= 0}
        _add_marks(
            figure,
            [phase.iteration for phase in copies.values()],
            [_drawn(phase.configuration.parameters.get(name)) for phase in copies.values()],
            list(copies),
            row=row,
        )
        kind = str((recorded_domain(space[name]) or {}).get("kind", ""))
        figure.update_yaxes(title_text=name, type="log" if "log" in kind else None, row=row, col=1)
    figure.update_xaxes(title_text="iteration", row=len(names), col=1)
    title = f"{store.metadata.get('name', '')}: Parameters over iterations"
    return figure.update_layout(title=title, height=140 + 170 * len(names))


def family_figure(store: Store, trials: Collection[int] | None = None) -> Any:
    """Return a figure of the descent of the trials: a row for each trial, a line from the trial that it has copied.

    Args:
        store: the experiment's state.
        trials: the trials; all if None.

    Raises:
        ExperimentError: no trial was copied, or there is no such trial.
    """
    import plotly.graph_objects as go
    from plotly.colors import qualitative

    numbers = _with_reports(store, trials)
    copies = [copy for copy in store.lineage.copies() if copy.trial in numbers]
    if not copies:
        raise ExperimentError(
            "plot 'family' needs a trial that has copied another one, as with the scheduler pbt or pb2, or by"
            " clone(checkpoint=True)"
        )
    trial, iteration, row = store.reports.keys()
    colours: dict[int, str] = {}
    figure = go.Figure()
    for number in numbers:
        rows = row[trial == number]
        starts = [copy.row for copy in copies if copy.trial == number]
        for first, end in zip([rows[0], *starts], [*starts, rows[-1] + 1], strict=True):
            part = rows[(rows >= first) & (rows < end)]
            if not len(part):
                continue
            founder = store.lineage.founder(number, int(part[0]))
            is_new = founder not in colours
            colour = colours.setdefault(founder, qualitative.Safe[len(colours) % len(qualitative.Safe)])
            figure.add_scatter(
                x=iteration[part], y=[number] * len(part), mode="lines", line={"color": colour, "width": 5},
                name=f"from trial {founder}", legendgroup=str(founder), showlegend=is_new,
                hovertemplate=f"trial {number}<br>iteration %{{x}}<extra></extra>",
            )  # fmt: skip
    for copy in copies:
        figure.add_scatter(
            x=[copy.source_iteration, copy.iteration], y=[copy.source, copy.trial], mode="lines", hoverinfo="skip",
            line={"color": _OTHER, "width": 1}, showlegend=False,
        )  # fmt: skip
    _add_marks(figure, [c.iteration for c in copies], [c.trial for c in copies], [c.text for c in copies])
    figure.update_yaxes(title_text="trial", dtick=1 if len(numbers) <= 20 else None, autorange="reversed")
    figure.update_xaxes(title_text="iteration")
    title = f"{store.metadata.get('name', '')}: Which trials were copied"
    return figure.update_layout(title=title, height=200 + 26 * min(len(numbers), 40))


FIGURES: Mapping[str, Any] = {"schedule": schedule_figure, "family": family_figure}
"""Kind of a figure -> the function that returns it."""


def mark_curves(figure: Any, store: Store) -> None:
    """Mark copies and rungs in a figure of the metric over iterations.

    Args:
        figure: the figure.
        store: the experiment's state.
    """
    metric = store.metric or ""
    # The curves of repeats are those of their means, on which no single trial lies.
    copies = store.lineage.copies() if store.repeat == 1 else ()
    values = [(copy, store.reports.value_at(metric, copy.row)) for copy in copies]
    marked = [(copy, value) for copy, value in values if value is not ABSENT]
    _add_marks(figure, [c.iteration for c, _ in marked], [value for _, value in marked], [c.text for c, _ in marked])
    for rung in store.lineage.rungs():
        if rung.unit == "training_iteration":
            figure.add_vline(
                rung.at, line={"color": _OTHER, "width": 1, "dash": "dot"},
                annotation={"text": f"{rung.went_on}/{rung.reached}", "hovertext": rung.text},
            )  # fmt: skip


def _with_reports(store: Store, trials: Collection[int] | None) -> list[int]:
    """Return the numbers of the given trials that have reported; of all trials if None."""
    known = store.trials
    for number in trials or ():
        if number not in known:
            raise ExperimentError(f"there is no trial {number}; there are {len(known)}, numbered from 0")
    return sorted(number for number in (known if trials is None else trials) if known[number].iterations)


def _best_last(store: Store, numbers: Collection[int]) -> list[int]:
    best = store.best()
    return sorted(numbers, key=lambda number: (best is not None and number == best.number, number))


def _changed(phases: Mapping[int, Sequence[Phase]]) -> list[str]:
    """Return the names of the parameters that differ within the phases of any trial."""
    names: dict[str, None] = {}
    for found in phases.values():
        first = found[0].configuration.parameters
        for phase in found[1:]:
            for name, value in phase.configuration.parameters.items():
                if not same(value, first.get(name, ABSENT)):
                    names[name] = None
    return list(names)


def _add_schedule(figure: Any, store: Store, number: int, phases: Sequence[Phase], name: str, row: int) -> None:
    """Add the line of one trial: a step at the beginning of each phase."""
    best = store.best()
    is_best = best is not None and best.number == number
    ends = [*(phase.iteration for phase in phases[1:]), store.trials[number].iterations]
    figure.add_scatter(
        x=[place for phase, end in zip(phases, ends, strict=True) for place in (phase.iteration, end)],
        y=[_drawn(phase.configuration.parameters.get(name)) for phase in phases for _ in range(2)],
        row=row, col=1, mode="lines", name=f"trial {number}{' (best)' if is_best else ''}", legendgroup=str(number),
        showlegend=row == 1, hovertemplate=f"trial {number}<br>iteration %{{x}}<br>%{{y}}<extra></extra>",
        line={"color": _BEST, "width": 3} if is_best else {"width": 1}, opacity=1 if is_best else 0.7,
    )  # fmt: skip


def _add_marks(figure: Any, x: list[Any], y: list[Any], texts: list[str], row: int | None = None) -> None:
    """Mark copies, with a text for each."""
    if x:
        place = {} if row is None else {"row": row, "col": 1}
        figure.add_scatter(
            x=x, y=y, mode="markers", name="copies", legendgroup="copies", showlegend=row in {None, 1}, text=texts,
            hovertemplate="%{text}<br>%{y}<extra></extra>",
            marker={"symbol": "diamond", "size": 8, "color": _COPY}, **place,
        )  # fmt: skip


def _drawn(value: Any) -> Any:
    """Return a parameter's value as plotly draws it: numbers as they are, other values by their texts."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else label(value)
