"""The help page of ``%%tune`` and ``%tune``, made from the table of options."""

from __future__ import annotations

import textwrap
from itertools import groupby

from nbtune.spec.options.named import Named
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

A line `name: SPACE = default` declares a parameter; a trial runs everything else. It can use the
notebook's variables and functions. These functions need no import: `report`, `get_checkpoint`,
`get_context`, `get_dataset_shard`, and the space functions:
"""
_SPACES = """\
A parameter may depend on others, exist under a condition only, or be a dictionary of parameters.
Samples that do not fulfil a require(...) are not tried:

    momentum: uniform(0.8, 0.99) if optimizer == "sgd" else None = 0.9
    warmup: uniform(0, lr) = 1e-3
    model: {"hidden": choice([64, 128]), "dropout": uniform(0, 0.5)}
    require(batch_size * workers <= 1024)
"""
_AFTER = """\
With --workers N each trial is a Ray Train run: N processes run the cell together, each with --cpus, --gpus
and --memory. Use ray.train.torch.prepare_model and the like; get_context() has the rank. With
--dataset train=VAR, a ray.data.Dataset, get_dataset_shard("train") returns the share of each worker, or the
whole without workers. The plan leaves CPUs to Ray Data.

The cell returns at once, and the experiment is a variable: digits.df, digits.best, digits.history,
digits.plot("parallel"), digits.wait(), digits.stop(). Without the %%tune line the same cell runs in the
notebook, with the default values; `from nbtune import *` imports the names that it needs. Executed again
while its experiment runs, the cell shows that one; --replace or --new start another.

If a value is the name of a notebook variable, the variable's value is used; VAR is always one. Defaults of
the session: %config NbTune.storage = "/data/sweeps"; of a project: [tool.nbtune] in pyproject.toml. A flag
overrides both. With %config NbTune.start = "load", Ray starts at once, in the background, instead of with
the first sweep.
"""
_LINE = """\
    %tune                                  experiments of this session, and the cluster
    %tune run FUNCTION --space VAR ...     the same as %%tune for a function or class Trainable and a space
    %tune run TUNER ...                    the same for a ray.tune.Tuner or a trainer of Ray Train;
                                           options replace its settings
    %tune list [STORAGE]                   the experiments on the cluster and in storage
    %tune attach NAME [VARIABLE]           show one of them again: curves, table, buttons
    %tune resume NAME [--failed]           resume one after a stop or a crash, in any notebook; --code new
                                           takes the present text of its cell or function
    %tune stop NAME [TRIAL]                stop an experiment, or one of its trials
    %tune pause NAME TRIAL                 pause a trial; %tune resume NAME TRIAL resumes it
    %tune add NAME lr=0.01 ...             try this point next; parameters that are not given are sampled
    %tune clone NAME TRIAL lr=0.01 ...     try a trial's point with changes; --checkpoint continues from it
    %tune extend NAME SAMPLES              add samples, also after the end
    %tune limit NAME N|none                change the maximum number of concurrent trials
    %tune plan OPTIONS [--space VAR]       how many trials would run at once, and what limits that
    %tune plan NAME                        the plan of an experiment, its progress and remaining time
    %tune load PATH [NAME] [--trust]       open a stored experiment
    %tune cluster [ADDRESS]                connect, and show the cluster; ADDRESS is HOST:PORT,
                                           ray://HOST:PORT, auto or local (a Ray of this kernel's own)
    %tune cluster start [--cpus N] [--gpus N] [--idle TIME]
                                           a cluster on this machine that outlives the kernel; it ends
                                           after TIME without use (1h), or by %tune cluster stop
    %tune help [NAME]                      this page, or that of a search algorithm or scheduler; NAME may be
                                           search or scheduler, for a list of all
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
                if isinstance(default, (int, float, str, Named)) and not isinstance(default, bool)
                else ""
            )
            text = f"{option.help}{shown}"
            parts.append(textwrap.fill(text, 108, initial_indent=f"    {label:<26} ", subsequent_indent=" " * 31))
    parts.append("Also:")
    parts.append(f"    {'--space VAR':<26} more parameters: a Space, a form or a dictionary")
    parts.append(f"    {'--dry-run':<26} run the cell once in the notebook, to its first report, and show the plan")
    parts.append(f"    {'--replace':<26} if an experiment of this name runs, stop it and start anew")
    parts.append(f"    {'--new':<26} if this name is taken, start under another one: NAME_2, NAME_3...\n")
    return "\n".join([*parts, _AFTER, _LINE])
