"""The magics ``%%tune`` and ``%tune``: a thin layer over the Python functions. The only module that imports IPython."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.display import display

from nbtune.cluster.link.ahead import start_if_connected
from nbtune.errors import ExperimentError, Problem, SpecError, did_you_mean, spelled
from nbtune.launch.given import has_settings, prepare_given
from nbtune.launch.prepare import Prepared, prepare_cell
from nbtune.launch.trainables import is_trainable_class
from nbtune.notebook.completion.ipython import add_matcher
from nbtune.notebook.help_line import asks_for_help, help_text
from nbtune.notebook.settings import Settings
from nbtune.shell import can_interact, cell_number, say
from nbtune.spec.options.help import help_page
from nbtune.spec.options.line import Line, parse_line
from nbtune.spec.options.tokenizer import split_first, split_line

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["NbTune", "register"]

# JupyterLab shows "model not found" for a widget without its kernel. Where the static picture follows, this hides it.
_HIDE_MISSING_WIDGET = """<style>
.jp-OutputArea-child:has(~ .jp-OutputArea-child img[src*="nbtune-still"]) > .jupyter-widgets:not(:has(*)),
.jp-OutputArea-child:has(style.nbtune) { display: none; }
</style><style class="nbtune"></style>"""


def register(shell: Any) -> None:
    """Add the magics to an IPython shell.

    Args:
        shell: an `IPython.core.interactiveshell.InteractiveShell`.
    """
    shell.register_magics(NbTune(shell))
    add_matcher(shell)
    shell.events.register("post_run_cell", start_if_connected)


@magics_class
class NbTune(Settings, Magics):
    """Turn a cell into a hyperparameter sweep on Ray."""

    if TYPE_CHECKING:
        shell: InteractiveShell  # IPython's is optional; a magic has one
        storage: Any  # an option, as all traits of `Settings`
        storage_filesystem: Any

    @line_cell_magic
    def tune(self, line: str, cell: str | None = None) -> Any:  # the docstring is the help page, set below
        with spelled("line"):
            return self._command(line) if cell is None else self._tune_cell(line, cell)

    def _tune_cell(self, line: str, cell: str) -> None:
        """``%%tune``: check a cell, and run it."""
        if asks_for_help(line):
            print(help_text(""))
            return
        namespace = self.shell.user_ns
        parsed = parse_line(line, namespace)
        self._check_name(parsed)
        magic = f"%%tune {line}".rstrip()
        prepared = prepare_cell(
            cell,
            parsed.options,
            namespace,
            space=parsed.space,
            filename=self._filename(f"{magic}\n{cell}"),
            magic=magic,
            problems=parsed.problems,
        )
        self._run(prepared, parsed)

    def _run(self, prepared: Prepared, parsed: Line) -> None:
        """Start an experiment, bind it to its name and show it; with `--dry-run` only do a dry run.

        If an earlier execution of the same cell has started one that still runs, show that one.
        """
        from nbtune.launch.code import remember
        from nbtune.launch.rerun import find_running, free_name, remember_cell
        from nbtune.launch.start import dry_run, launch_prepared, should_wait, wait_for_end

        if parsed.new:
            name = free_name(prepared.spec.name, self.shell.user_ns)
            prepared = replace(prepared, spec=replace(prepared.spec, name=name))
        remember(prepared)
        if parsed.dry_run:
            print(dry_run(prepared))
            return
        running = find_running(prepared, self.shell.user_ns, replaced=parsed.replace)
        experiment = launch_prepared(prepared) if running is None else running
        self.shell.user_ns[prepared.spec.name] = experiment
        if running is None:
            remember_cell(experiment)
        if can_interact():
            self._show(experiment)
        if not should_wait(prepared):
            return
        wait_for_end(experiment, line=not hasattr(self.shell, "kernel"))  # in a notebook there is the dashboard
        if not can_interact():
            display(experiment)

    def _check_name(self, parsed: Line) -> None:
        """Add a problem if the experiment's variable would replace a name of Python, IPython or nbtune."""
        from nbtune.notebook.binding import reserved

        name = parsed.options.get("name")
        if isinstance(name, str) and (owner := reserved(name)):
            parsed.problems.append(
                Problem(f"{name} is a name of {owner}, which the experiment's variable would replace; use another name")
            )

    def _check_name_is_free(self, name: str) -> None:
        """Raise if the variable is an experiment that still runs: rebinding it would make that one unreachable."""
        from nbtune.results.experiment import Experiment

        current = self.shell.user_ns.get(name)
        if isinstance(current, Experiment) and not current.over:
            raise ExperimentError(
                f"the variable {name} is an experiment that is {current.status}; stop it with {name}.stop(), or use"
                " another name"
            )

    def _show(self, experiment: Any) -> None:
        """Show the dashboard with a static picture below it, or a line of text where there are no widgets."""
        if not hasattr(self.shell, "kernel"):
            print(repr(experiment))
            return
        from nbtune.views.still.kept import keep_picture

        experiment.dashboard.has_picture = True
        display(experiment.dashboard)
        # Without a kernel the saved widget shows nothing, so the notebook's file has a static picture, too.
        display({"text/html": _HIDE_MISSING_WIDGET, "text/plain": ""}, raw=True)
        still = display(experiment._repr_mimebundle_(), raw=True, display_id=True)
        keep_picture(experiment, lambda picture: still.update(picture, raw=True))

    def _filename(self, source: str) -> str:
        """Register the cell with IPython and return its file name, so that tracebacks show its lines."""
        return str(self.shell.compile.cache(source, cell_number(self.shell), raw_code=source))

    # -- %tune ------------------------------------------------------------------------------------

    def _command(self, line: str) -> Any:
        from nbtune.notebook.commands import COMMANDS

        word, arguments = split_first(line)
        commands: dict[str, Callable[[str], Any]] = {
            **{command: partial(self._execute, command) for command in COMMANDS},
            "": lambda arguments: print(self._overview()),
            "attach": self._attach,
            "cluster": self._cluster,
            "help": lambda arguments: print(help_text(arguments)),
            "list": self._list,
            "load": self._load,
            "plan": self._plan,
            "resume": self._resume,
            "run": self._run_function,
        }
        if asks_for_help(line):
            word, arguments = "help", word if word in commands else ""
        if word not in commands:
            known = ", ".join(sorted(name for name in commands if name))
            raise SpecError(
                [f"unknown command %tune {word}{did_you_mean(word, commands)}; known are {known}; %%tune runs a cell"]
            )
        return commands[word](arguments)

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
            from nbtune.engine.client.processes import describe_kept

            lines.extend(describe_kept())
        else:
            from nbtune.cluster.embedded import early

            lines.append(
                early.status()
                or "no cluster is connected; %tune cluster and the first %%tune connect or start Ray on this machine"
            )
        return "\n".join(lines)

    def _cluster(self, line: str) -> None:
        from nbtune.notebook.cluster_line import parse_cluster_line

        command = parse_cluster_line(line)
        if command.action == "start":
            from nbtune.cluster.local.local import start_cluster

            print(start_cluster(**command.options))
        elif command.action == "stop":
            from nbtune.cluster.local.local import stop_cluster

            print("the local cluster has ended" if stop_cluster() else "no local cluster is running")
        else:
            from nbtune.cluster.connect import connect

            print(connect(**command.options))

    def _list(self, arguments: str) -> Any:
        from nbtune.launch.load import experiments
        from nbtune.views.text import shown_table

        storage = " ".join(split_line(arguments))
        return shown_table(experiments(storage or self.storage, None if storage else self.storage_filesystem))

    def _load(self, arguments: str) -> Any:
        from nbtune.notebook.load_line import load_line

        experiment, variable = load_line(arguments, self._name_and_variable)
        self._bind(experiment, variable, experiment.name, "%tune load PATH VARIABLE")
        return experiment

    def _bind(self, experiment: Any, variable: str | None, stored: str, usage: str) -> None:
        """Bind an experiment to the variable that the user has named, or else to a name that may come from a file."""
        from nbtune.notebook.binding import bind_stored

        if variable is None:
            bind_stored(experiment, stored, self.shell.user_ns, usage=usage)
        else:
            self.shell.user_ns[variable] = experiment

    def _plan(self, line: str) -> None:
        """``%tune plan OPTIONS`` plans a new experiment, ``%tune plan NAME`` shows the plan of one of this notebook."""
        from nbtune.launch.planning import describe_progress, plan
        from nbtune.notebook.commands import experiment_of

        parsed = parse_line(line, self.shell.user_ns)
        name = parsed.options.pop("name", None)
        if name is not None and (parsed.options or parsed.space is not None or parsed.dry_run):
            parsed.problems.append(
                Problem(f"%tune plan NAME takes no options; to plan a new experiment leave out {name!r}")
            )
        if parsed.problems:
            raise SpecError(parsed.problems)
        if name:
            say(describe_progress(experiment_of(name, self.shell.user_ns)))
        else:
            print(plan(parsed.space, **parsed.options).text("line"))

    def _execute(self, command: str, arguments: str) -> None:
        from nbtune.notebook.commands import execute

        say(execute(command, arguments, self.shell.user_ns))

    def _attach(self, arguments: str) -> None:
        """``%tune attach NAME [VARIABLE]``: attach to an experiment and show its dashboard."""
        from nbtune.launch.resume import attach

        name, variable = self._name_and_variable("attach NAME", split_line(arguments))
        self._bind_and_show(attach(name, self.storage), variable, usage="%tune attach NAME VARIABLE")

    def _resume(self, arguments: str) -> None:
        """``%tune resume NAME [VARIABLE] [--failed] [--code new|stored]``: resume an experiment of any notebook."""
        from nbtune.launch.resume import attach
        from nbtune.notebook.commands import take_code
        from nbtune.results.experiment import Experiment

        words = split_line(arguments)
        if len(words) == 2 and words[1].isdigit():
            self._execute("resume", arguments)
            return
        failed = "--failed" in words
        words, code = take_code([word for word in words if word != "--failed"])
        name, variable = self._name_and_variable("resume NAME", words, " [--failed] [--code new|stored]")
        known = self.shell.user_ns.get(name)
        experiment = known if isinstance(known, Experiment) else attach(name, self.storage)
        experiment.resume(failed=failed, code=code).wait_for_events()
        self._bind_and_show(experiment, variable, name, usage="%tune resume NAME VARIABLE")

    def _name_and_variable(self, usage: str, words: list[str], flags: str = "") -> tuple[str, str | None]:
        """Return the one or two words of a command: what it is about, and the variable to bind it to."""
        from nbtune.notebook.binding import reserved

        usage = f"usage: %tune {usage} [VARIABLE]{flags}; %tune list shows the experiments"
        if unknown := [word for word in words if word.startswith("--")]:
            raise SpecError([f"unknown option {unknown[0]}; {usage}"])
        if not 1 <= len(words) <= 2:
            raise SpecError([f"expected one or two arguments, got {len(words)}; {usage}"])
        if len(words) == 2 and not words[1].isidentifier():
            raise SpecError([f"expected a variable name, got {words[1]!r}; {usage}"])
        if len(words) == 2 and (owner := reserved(words[1])):
            raise SpecError(
                [f"{words[1]} is a name of {owner}, which the variable would replace; use another; {usage}"]
            )
        return words[0], words[1] if len(words) == 2 else None

    def _bind_and_show(self, experiment: Any, variable: str | None, stored: str = "", *, usage: str) -> None:
        """Bind an experiment to a variable, by default of the stored name or of its own, and show it."""
        stored = stored if stored.isidentifier() else experiment.name
        name = variable or stored
        if self.shell.user_ns.get(name) is not experiment:
            self._check_name_is_free(name)
        self._bind(experiment, variable, stored, usage)
        if can_interact():
            self._show(experiment)
        else:
            display(experiment)

    def _run_function(self, line: str) -> None:
        word, arguments = split_first(line)
        namespace = self.shell.user_ns
        parsed = parse_line(arguments, namespace)
        self._check_name(parsed)
        problems = parsed.problems
        trained = namespace.get(word)
        if has_settings(trained):
            self._run(prepare_given(trained, parsed.space, parsed.options, namespace, problems=problems), parsed)
            return
        if not callable(trained) or (inspect.isclass(trained) and not is_trainable_class(trained)):
            known = [key for key, value in namespace.items() if inspect.isfunction(value) or is_trainable_class(value)]
            text = f"expected the name of a function, class Trainable, Tuner or trainer of Ray Train, got {word!r}"
            problems.append(Problem(f"%tune run: {text}{did_you_mean(word, known)}"))
            trained = None
        if parsed.space is None:
            problems.append(Problem("%tune run needs --space VAR: a variable with a dictionary, name -> domain"))
        if trained is None or parsed.space is None:
            raise SpecError(problems)
        self._run(prepare_given(trained, parsed.space, parsed.options, namespace, problems=problems), parsed)


NbTune.tune.__doc__ = help_page()
