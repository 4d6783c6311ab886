"""The help page of ``%%tune`` and ``%tune``, made from the table of options."""

from __future__ import annotations

import textwrap
from itertools import groupby

from nbtune.spec.options.options import OPTIONS, Spec
from nbtune.spec.space.domain import SPACE_FUNCTIONS

__all__ = ["help_page"]

_CELL = """\
Run a cell as a hyperparameter sweep on Ray.

    %%tune digits --metric accuracy --mode max --samples 20 --scheduler asha
    lr: loguniform(1e-4, 1e-1) = 1e-2
    hidden: choice([32, 64, 128]) = 64

    model = make_model(hidden)
    for epoch in range(10):
        accuracy = train_one_epoch(model, X, y, lr)
        report(accuracy=accuracy)

A line `name: SPACE = default` is a parameter; everything else is what a trial runs. It sees the
notebook's variables and functions as any cell does. `report`, `get_checkpoint` and `get_context` are
there without import, and so are the space functions:
"""
_SPACES = """\
A parameter may depend on others, be there on a condition only, or be a dictionary of parameters;
require(...) keeps samples that break it from being tried:

    momentum: uniform(0.8, 0.99) if optimizer == "sgd" else None = 0.9
    warmup: uniform(0, lr) = 1e-3
    model: {"hidden": choice([64, 128]), "dropout": uniform(0, 0.5)}
    require(batch_size * workers <= 1024)
"""
_AFTER = """\
With --workers N each trial is a distributed run of Ray Train: N processes run the cell together, each with
--cpus, --gpus and --memory, as ray.train.torch.prepare_model and the like expect; get_context() has the rank.

The cell returns at once, and the experiment is a variable: digits.df, digits.best, digits.history,
digits.plot("parallel"), digits.wait(), digits.stop(). Without the %%tune line the same cell runs here,
with its defaults; `from nbtune import *` brings it its names.

Where an option takes VAR or an object, and wherever a value is the name of a notebook variable, the
variable's value is taken. Defaults for the session: %config NbTune.storage = "/data/sweeps"; for a
project: [tool.nbtune] in pyproject.toml. A flag beats both.
"""
_LINE = """\
    %tune                                  experiments of this session, and the cluster
    %tune run FUNCTION --space VAR ...     the same as %%tune for a function and a space that exist
    %tune list [STORAGE]                   the experiments on the cluster and in storage
    %tune attach NAME [VARIABLE]           bring one of them back: curves, table, buttons, all of it
    %tune resume NAME [--failed]           go on with one after a stop or a crash, in this notebook or another
    %tune stop NAME [TRIAL]                end an experiment, or one of its trials
    %tune pause NAME TRIAL                 let a trial give up its place; %tune resume NAME TRIAL goes on
    %tune add NAME lr=0.01 ...             try this point next; what is not given is sampled
    %tune clone NAME TRIAL lr=0.01 ...     try a trial's point with changes; --checkpoint starts where it is
    %tune extend NAME SAMPLES              try so many samples more, also after the end
    %tune limit NAME N|none                how many trials run at once
    %tune plan OPTIONS [--space VAR]       how many trials would run at once, and what limits that
    %tune plan NAME                        the plan of an experiment, and the time that it has left
    %tune load PATH [NAME]                 open one of them
    %tune cluster [ADDRESS]                connect, and show what is there; ADDRESS is HOST:PORT,
                                           ray://HOST:PORT, auto or local (a Ray of this kernel's own)
    %tune cluster start [--cpus N] [--gpus N] [--idle TIME]
                                           a cluster on this machine that outlives the kernel; it ends
                                           after TIME without use (1h), or by %tune cluster stop
    %tune help                             this page
"""


def help_page() -> str:
    """Return the help page as text."""
    parts = [_CELL]
    parts.append(textwrap.fill(", ".join(SPACE_FUNCTIONS), 96, initial_indent="    ", subsequent_indent="    ") + "\n")
    parts.append(_SPACES)
    defaults = Spec()
    for group, options in groupby(OPTIONS.values(), key=lambda option: option.group):
        parts.append(f"{group}:")
        for option in options:
            label = {"name": "NAME", "wait": "--wait, --no-wait"}.get(option.name, f"{option.flag} {option.shows}")
            default = getattr(defaults, option.name)
            shown = (
                f" (default {default})"
                if isinstance(default, (int, float, str)) and not isinstance(default, bool)
                else ""
            )
            parts.append(f"    {label:<26} {option.help}{shown}")
    parts.append("Also:")
    parts.append(f"    {'--space VAR':<26} further parameters: a Space, a form or a dictionary")
    parts.append(f"    {'--dry-run':<26} run the cell once, here, to its first report, and show the plan\n")
    return "\n".join([*parts, _AFTER, _LINE])
