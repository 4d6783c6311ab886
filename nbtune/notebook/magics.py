"""``%%tune`` and ``%tune``: a thin shell over the Python functions. The only module that imports IPython."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.display import display
from traitlets import Any as AnyTrait
from traitlets import TraitError, observe

from nbtune.errors import ExperimentError, Problem, SpecError, did_you_mean
from nbtune.launch.prepare import Prepared, prepare_cell, prepare_function
from nbtune.shell import can_interact
from nbtune.spec.options.defaults import session
from nbtune.spec.options.help import help_page
from nbtune.spec.options.line import parse_line
from nbtune.spec.options.options import OPTIONS

__all__ = ["NbTune", "register"]

_SOON, _SELDOM = 5.0, 120.0  # seconds between two refreshings of the picture in the file: first, and at last

# JupyterLab's words for a widget without its kernel, "model not found", are all that is in the output then.
_NO_ERROR = """<style>
.jp-OutputArea-child:has(~ .jp-OutputArea-child img[src*="nbtune-still"]) > .jupyter-widgets:not(:has(*)),
.jp-OutputArea-child:has(style.nbtune) { display: none; }
</style><style class="nbtune"></style>"""


def register(shell: Any) -> None:
    """Add the magics to an IPython shell."""
    shell.register_magics(NbTune)


class _Defaults(Magics):
    """The session's defaults, ``%config NbTune.OPTION = VALUE``: one trait for each option."""

    @observe(*OPTIONS)
    def _set(self, change: Any) -> None:
        try:
            if change.new is not None:
                OPTIONS[change.name].read(change.new)
        except ValueError as error:
            self.set_trait(change.name, change.old)
            raise TraitError(f"NbTune.{change.name}: {error}") from None
        session[change.name] = change.new


for _option in OPTIONS.values():
    _trait = AnyTrait(None, allow_none=True, help=f"Default of {_option.flag}: {_option.help}.").tag(config=True)
    setattr(_Defaults, _option.name, _trait)
    _trait.class_init(_Defaults, _option.name)
_Defaults.setup_class(_Defaults.__dict__)


@magics_class
class NbTune(_Defaults):
    """Turn a cell into a hyperparameter sweep on Ray."""

    @line_cell_magic
    def tune(self, line: str, cell: str | None = None) -> Any:  # its docstring is the help page, set below
        if cell is None:
            return self._command(line)
        namespace = self.shell.user_ns
        parsed = parse_line(line, namespace)
        magic = f"%%tune {line}".rstrip()
        prepared = prepare_cell(
            cell,
            parsed.options,
            namespace,
            space=parsed.space,
            filename=self._filename(f"{magic}\n{cell}"),
            magic=magic,
            namer=self._cell_name,
            problems=parsed.problems,
        )
        return self._run(prepared, parsed.dry_run)

    def _run(self, prepared: Prepared, dry: bool) -> None:
        """Start an experiment, bind it to its name and show it; or only try it."""
        from nbtune.launch.start import dry_run, finish, launch_prepared, must_wait

        if dry:
            print(dry_run(prepared))
            return
        self._refuse_second(prepared.spec.name)
        experiment = launch_prepared(prepared)
        self.shell.user_ns[prepared.spec.name] = experiment
        if can_interact():
            self._show(experiment)
        if not must_wait(prepared):
            return
        try:
            with self._waiting(experiment):
                finish(experiment)
        except KeyboardInterrupt:
            print(f"stopped waiting; {experiment.name} goes on, {experiment.name}.stop() ends it")
        else:
            if not can_interact():
                display(experiment)

    def _waiting(self, experiment: Any) -> AbstractContextManager[Any]:
        """Return what shows an experiment while somebody waits for it in a terminal."""
        if hasattr(self.shell, "kernel"):
            return nullcontext()
        from nbtune.views.terminal import Line

        return Line(experiment._store, sys.stdout)

    def _refuse_second(self, name: str) -> None:
        """Refuse to take the name from an experiment that still runs: nobody could reach that one any more."""
        from nbtune.results.experiment import Experiment

        before = self.shell.user_ns.get(name)
        if isinstance(before, Experiment) and not before.over:
            raise ExperimentError(
                f"{name} is still {before.status}. End it with {name}.stop(), or give this one another name"
            )

    def _show(self, experiment: Any) -> None:
        """Show the dashboard under the cell and its picture below, or a line of text where there are no widgets."""
        if not hasattr(self.shell, "kernel"):
            print(repr(experiment))
            return
        display(experiment.dashboard)
        # What stays in the file: a saved view of a widget is nothing without its kernel, but a line that says so.
        display({"text/html": _NO_ERROR, "text/plain": ""}, raw=True)
        still = display(experiment._repr_mimebundle_(), raw=True, display_id=True)
        due, pause = time.monotonic() + _SOON, _SOON

        def refresh() -> None:
            nonlocal due, pause
            if experiment.over or time.monotonic() > due:
                pause = min(2 * pause, _SELDOM)
                due = time.monotonic() + pause  # first: one that cannot be drawn is not tried at every change
                still.update(experiment._repr_mimebundle_(), raw=True)

        experiment.listen(refresh)
        if experiment.over:  # before anybody listened
            refresh()

    def _filename(self, source: str) -> str:
        """Give the cell a file name of IPython's own, under which tracebacks find its lines."""
        return str(self.shell.compile.cache(source, self.shell.execution_count, raw_code=source))

    def _cell_name(self, filename: str) -> str | None:
        number = getattr(self.shell.compile, "_filename_map", {}).get(filename)
        return None if number is None else f"Cell In[{number}]"

    # -- %tune ------------------------------------------------------------------------------------

    def _command(self, line: str) -> Any:
        from nbtune.notebook.orders import ORDERS

        word, _, rest = line.strip().partition(" ")
        commands: dict[str, Callable[[str], Any]] = {
            **{order: partial(self._order, order) for order in ORDERS},
            "": lambda rest: print(self._overview()),
            "attach": self._attach,
            "cluster": self._cluster,
            "help": lambda rest: print(help_page()),
            "list": self._list,
            "load": self._load,
            "plan": self._plan,
            "resume": self._resume,
            "run": self._run_function,
        }
        if word not in commands:
            known = ", ".join(sorted(name for name in commands if name))
            raise SpecError(
                [f"there is no %tune {word}{did_you_mean(word, commands)}; there are {known}, and %%tune runs a cell"]
            )
        return commands[word](rest.strip())

    def _overview(self) -> str:
        from nbtune.results.experiment import Experiment

        lines = [
            repr(value).splitlines()[0] if name == value.name else f"{name} = {repr(value).splitlines()[0]}"
            for name, value in self.shell.user_ns.items()
            if isinstance(value, Experiment) and not name.startswith("_")
        ]
        if "ray" in sys.modules and sys.modules["ray"].is_initialized():
            from nbtune.cluster.connect import connect

            lines.append(str(connect()))
        else:
            lines.append("no cluster yet; the first %%tune and %tune cluster connect, or start Ray on this machine")
        return "\n".join(lines)

    def _cluster(self, line: str) -> None:
        from nbtune.notebook.cluster_line import read_line

        order = read_line(line)
        if order.action == "start":
            from nbtune.cluster.local.local import start_cluster

            print(start_cluster(**order.options))
        elif order.action == "stop":
            from nbtune.cluster.local.local import stop_cluster

            print("the local cluster has ended" if stop_cluster() else "no local cluster of nbtune's runs here")
        else:
            from nbtune.cluster.connect import connect

            print(connect(**order.options))

    def _list(self, storage: str) -> Any:
        from nbtune.launch.api import experiments

        return experiments(storage or self.storage, None if storage else self.storage_filesystem)

    def _load(self, rest: str) -> Any:
        from nbtune.launch.api import load

        path, _, name = rest.partition(" ")
        if not path:
            raise SpecError(["%tune load needs the folder of an experiment; %tune list shows them"])
        experiment = load(path)
        self.shell.user_ns[name.strip() or experiment.name] = experiment
        return experiment

    def _plan(self, line: str) -> None:
        """``%tune plan OPTIONS`` of an experiment that could be, ``%tune plan NAME`` of one of this notebook."""
        from nbtune.launch.planning import plan, told
        from nbtune.notebook.orders import experiment_of

        parsed = parse_line(line, self.shell.user_ns)
        name = parsed.options.pop("name", None)
        if name is not None and line.split() != [name]:
            parsed.problems.append(
                Problem(
                    f"%tune plan NAME is about an experiment that is there, and takes no options; leave out {name!r}"
                )
            )
        if parsed.problems:
            raise SpecError(parsed.problems)
        if name:
            print(told(experiment_of(name, self.shell.user_ns)))
        else:
            print(plan(parsed.space, **parsed.options))

    def _order(self, order: str, rest: str) -> None:
        from nbtune.notebook.orders import carry_out

        print(carry_out(order, rest, self.shell.user_ns))

    def _attach(self, rest: str) -> None:
        """``%tune attach NAME [VARIABLE]``: bring an experiment back, with its dashboard."""
        from nbtune.launch.resume import attach

        name, variable = self._names("attach", rest)
        self._bring_back(attach(name, self.storage), variable)

    def _resume(self, rest: str) -> None:
        """``%tune resume NAME [VARIABLE] [--failed]``: go on with an experiment, of this notebook or another."""
        from nbtune.launch.resume import attach
        from nbtune.notebook.orders import words_of
        from nbtune.results.experiment import Experiment

        words = words_of(rest)
        if len(words) == 2 and words[1].isdigit():
            self._order("resume", rest)
            return
        failed = "--failed" in words
        name, variable = self._names("resume", " ".join(word for word in words if word != "--failed"))
        known = self.shell.user_ns.get(name)
        experiment = known if isinstance(known, Experiment) else attach(name, self.storage)
        experiment.resume(failed=failed)
        experiment.arrive()
        self._bring_back(experiment, variable or name)

    def _names(self, command: str, rest: str) -> tuple[str, str | None]:
        from nbtune.notebook.orders import words_of

        words = words_of(rest)
        if not 1 <= len(words) <= 2:
            raise SpecError([f"%tune {command} NAME [VARIABLE]: the experiment's name; %tune list shows them"])
        if len(words) == 2 and not words[1].isidentifier():
            raise SpecError([f"%tune {command}: {words[1]!r} is no variable name"])
        return words[0], words[1] if len(words) == 2 else None

    def _bring_back(self, experiment: Any, variable: str | None) -> None:
        """Bind an experiment to its name and show it."""
        name = variable if variable is not None and variable.isidentifier() else experiment.name
        if self.shell.user_ns.get(name) is not experiment:
            self._refuse_second(name)
        self.shell.user_ns[name] = experiment
        if can_interact():
            self._show(experiment)
        else:
            display(experiment)

    def _run_function(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        namespace = self.shell.user_ns
        parsed = parse_line(rest, namespace)
        problems = parsed.problems
        function = namespace.get(word)
        if not callable(function) or inspect.isclass(function):
            functions = [key for key, value in namespace.items() if inspect.isfunction(value)]
            problems.append(
                Problem(f"%tune run: {word!r} is no function of the notebook{did_you_mean(word, functions)}")
            )
            function = None
        if parsed.space is None:
            problems.append(Problem("%tune run needs --space VAR: a dictionary, name -> space function"))
        if function is None or parsed.space is None:
            raise SpecError(problems)
        prepared = prepare_function(
            function, parsed.space, parsed.options, namespace, namer=self._cell_name, problems=problems
        )
        self._run(prepared, parsed.dry_run)


NbTune.tune.__doc__ = help_page()
