"""The help page of ``%%tune`` and ``%tune``, made from the table of options."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import groupby

from nbtune.spec.options.defaults import with_defaults
from nbtune.spec.options.named import SCHEDULERS, SEARCHES, Named
from nbtune.spec.options.options import OPTIONS, SCOPES, Option, Spec
from nbtune.spec.plan.frameworks import FRAMEWORKS
from nbtune.spec.plan.workers import AGGREGATES
from nbtune.spec.space.domain import SPACE_FUNCTIONS
from nbtune.spec.space.values import label

__all__ = ["COMMANDS", "command_page", "help_page", "help_topics", "option_page"]

_HEAD = "Run a cell as a hyperparameter sweep on Ray.\n"
_CELL = """\
Search spaces:

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
_COMMANDS = {
    "": [("", "experiments of this session, and the cluster")],
    "run": [
        ("FUNCTION --space VAR ...", "the same as %%tune for a function or class Trainable and a space"),
        ("TUNER ...", "the same for a ray.tune.Tuner or a trainer of Ray Train; options replace its settings"),
    ],
    "list": [("[STORAGE]", "the experiments on the cluster and in storage")],
    "attach": [("NAME [VARIABLE]", "show one of them again: curves, table, buttons")],
    "resume": [
        ("NAME [--failed]", "resume one after a stop or a crash, in any notebook; --code new takes the present text of"
         " its cell or function"),
        ("NAME TRIAL", "resume a trial that is paused"),
    ],
    "stop": [("NAME [TRIAL]", "stop an experiment, or one of its trials")],
    "pause": [("NAME TRIAL", "pause a trial; %tune resume NAME TRIAL resumes it")],
    "add": [("NAME lr=0.01 ...", "try this point next; parameters that are not given are sampled")],
    "clone": [("NAME TRIAL lr=0.01 ...", "try a trial's point with changes; --checkpoint continues from it")],
    "extend": [("NAME SAMPLES", "add samples, also after the end")],
    "limit": [("NAME N|none", "change the maximum number of concurrent trials")],
    "plan": [
        ("OPTIONS [--space VAR]", "how many trials would run at once, and what limits that"),
        ("NAME", "the plan of an experiment, its progress and remaining time"),
    ],
    "load": [("PATH [NAME] [--trust]", "open a stored experiment; --metric NAME --mode min|max compares its trials by"
              " another metric")],
    "cluster": [
        ("[ADDRESS]", "connect, and show the cluster; ADDRESS is HOST:PORT, ray://HOST:PORT, auto or local (a Ray of"
         " this kernel's own)"),
        ("start [--cpus N] [--gpus N] [--idle TIME]", "a cluster on this machine that outlives the kernel; it ends"
         " after TIME without use (1h), or by %tune cluster stop"),
    ],
    "help": [("[NAME]", "this page, or that of an option, command, search algorithm, scheduler or space function;"
              " search or scheduler for a list of all")],
}  # fmt: skip
"""Command of ``%tune`` -> its arguments, and what it does with them."""
COMMANDS = tuple(name for name in _COMMANDS if name)
"""The commands of ``%tune``."""
_SWITCHES = {
    "space": ("--space VAR", "more parameters: a Space, a form or a dictionary"),
    "dry_run": ("--dry-run", "run the cell once in the notebook, to its first report, and show the plan"),
    "replace": ("--replace", "if an experiment of this name runs, stop it and start anew"),
    "new": ("--new", "if this name is taken, start under another one: NAME_2, NAME_3..."),
    "help": ("--help", "this page; nothing is started"),
}
"""What a magic line takes beside the options of an experiment."""
_CONTENTS = {
    "Search spaces": "how a cell declares parameters",
    "Experiment": "metric, samples, search algorithm, scheduler",
    "Resources of one trial": "CPUs, GPUs, memory, custom resources",
    "Limits": "concurrent trials, failures, time, stop conditions",
    "Storage": "where experiments are kept; checkpoints",
    "Workers of one trial": "distributed training with Ray Train",
    "Data sets of Ray Data": "what trials read, and the CPUs for it",
    "In the notebook": "whether a cell waits for the end",
    "Also": ", ".join(shown.split()[0] for shown, _ in _SWITCHES.values()),
    "Commands": "%tune run, attach, resume, stop, plan, cluster...",
}
"""Section of the help page -> what it contains. The names of the groups of options are among them."""
_MEANINGS = {
    "scope": SCOPES,
    "aggregate": AGGREGATES,
    "framework": {name: f"workers of {framework.title}" for name, framework in FRAMEWORKS.items()},
}
"""Option -> its values with their meanings."""
_WIDTH = 108
_SECRET = {"env", "worker_env"}


def help_page() -> str:
    """Return the help page as text, with a table of contents."""
    parts = [_HEAD, *_contents(), _CELL]
    parts.append(textwrap.fill(", ".join(SPACE_FUNCTIONS), 96, initial_indent="    ", subsequent_indent="    ") + "\n")
    parts.append(_SPACES)
    for group, options in groupby(OPTIONS.values(), key=lambda option: option.group):
        parts.append(f"{group}:")
        parts += [_entry(_shown(option), f"{option.help}{_default(option)}") for option in options]
    parts.append("Also:")
    parts += [_entry(shown, text) for shown, text in _SWITCHES.values()]
    parts += ["", _AFTER, "Commands:"]
    parts += [line for name in _COMMANDS for line in _command_lines(name)]
    return "\n".join(parts) + "\n"


def option_page(name: str) -> str | None:
    """Return what there is to know about an option; None if there is no such option.

    Args:
        name: the name, with underscores.
    """
    if name == "no_wait":
        name = "wait"
    if name in _SWITCHES:
        return _entry(*_SWITCHES[name], indent="")
    if (option := OPTIONS.get(name)) is None:
        return None
    lines = [_entry(_shown(option), option.help, indent="")]
    lines += [_entry(value, meaning, indent="        ") for value, meaning in _MEANINGS.get(name, {}).items()]
    if default := _default(option):
        lines.append(f"    {default.strip(' ()').capitalize()}")
    given, _ = with_defaults({})
    if (value := given.get(name)) is not None:
        lines.append(f"    In this notebook: {'given' if name in _SECRET else label(value)}")
    if option.variable:
        variables = "the name of a variable of the notebook"
        lines.append(f"    Takes {variables}" if option.shows == "VAR" else f"    Also takes {variables}")
    lines.append(f"    In Python: nbtune.tune(..., {name}=...)")
    if name != "name":
        lines.append(f"    For the session: %config NbTune.{name} = ...")
        lines.append(f"    For the project, in pyproject.toml: {name} = ... under [tool.nbtune]")
    return "\n".join(lines)


def command_page(name: str) -> str | None:
    """Return what a command of ``%tune`` does; None if there is no such command.

    Args:
        name: the command.
    """
    return "\n".join(_command_lines(name, indent="")) if name in COMMANDS else None


def help_topics() -> list[str]:
    """Return what ``%tune help`` explains: options with their dashes, commands, algorithms and space functions."""
    flags = [option.flag for option in OPTIONS.values()] + [shown.split()[0] for shown, _ in _SWITCHES.values()]
    return [*flags, *COMMANDS, *dict.fromkeys([*SEARCHES, *SCHEDULERS]), *SPACE_FUNCTIONS]


def _contents() -> list[str]:
    lines = ["Contents. %tune help NAME explains an option, command, algorithm or space function:", ""]
    lines += [_entry(section, text) for section, text in _CONTENTS.items()]
    return [*lines, ""]


def _shown(option: Option) -> str:
    return {"name": "NAME", "wait": "--wait, --no-wait"}.get(option.name, f"{option.flag} {option.shows}")


def _default(option: Option) -> str:
    value = getattr(Spec(), option.name)
    is_shown = isinstance(value, (int, float, str, Named)) and not isinstance(value, bool)
    is_shown = is_shown and "(default" not in option.help
    return f" (default {value})" if is_shown else ""


def _entry(shown: str, text: str, indent: str = "    ") -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=f"{indent}{shown:<26} ", subsequent_indent=f"{indent}{' ' * 27}")


def _command_lines(name: str, indent: str = "    ") -> Iterator[str]:
    for arguments, text in _COMMANDS[name]:
        shown = " ".join(["%tune", name, arguments]).strip()
        margin = " " * (len(indent) + 39)
        if len(shown) > 38:
            yield f"{indent}{shown}"
            yield textwrap.fill(text, _WIDTH, initial_indent=margin, subsequent_indent=margin)
        else:
            yield textwrap.fill(text, _WIDTH, initial_indent=f"{indent}{shown:<38} ", subsequent_indent=margin)
