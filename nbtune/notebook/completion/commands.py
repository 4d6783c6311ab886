"""The commands of ``%tune`` and their arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbtune.notebook.completion import variables
from nbtune.notebook.completion.candidates import NOTHING, Candidate, Completions, candidates
from nbtune.notebook.completion.cell import CellFacts, metrics_of_function
from nbtune.notebook.completion.experiments import (
    named_experiments,
    of_notebook,
    parameters_of,
    stored_folders,
    trials_of,
)
from nbtune.notebook.completion.folders import folder_candidates
from nbtune.notebook.completion.options import complete_options
from nbtune.notebook.completion.words import Word
from nbtune.spec.options.defaults import session
from nbtune.spec.options.help import COMMANDS, help_topics

__all__ = ["complete_command"]

_OVER = ("finished", "stopped", "failed", "lost")
_RUNNING = ("running", "pending")
_FLAGS: dict[str, tuple[str, ...]] = {
    "clone": ("--checkpoint",),
    "load": ("--trust", "--metric", "--mode"),
    "resume": ("--failed", "--code"),
    "cluster": ("--cpus", "--gpus", "--idle"),
}
_VALUES = {"--code": ("stored", "new"), "--mode": ("max", "min"), "--metric": (), "--cpus": (), "--gpus": ()}


def complete_command(
    words: Sequence[str], word: Word, after: Sequence[str], namespace: Mapping[str, Any]
) -> Completions:
    """Return the completions on a line of ``%tune``.

    Args:
        words: the words before the cursor.
        word: the word at the cursor.
        after: the words after it.
        namespace: the notebook's variables.
    """
    if not words:
        flags = ["--help"] if word.value.startswith("-") else []
        return word.complete(word.value, candidates([*COMMANDS, *flags], "keyword"))
    command, *given = words
    if command not in COMMANDS:
        return NOTHING
    if command == "run":
        if not given:
            return word.complete(word.value, variables.trainables(namespace))
        function = namespace.get(given[0])
        facts = CellFacts(metrics=metrics_of_function(function))
        return complete_options(given[1:], word, after, namespace, lambda: facts)
    if command == "plan":
        named = [] if given else of_notebook(namespace)
        return complete_options(given, word, after, namespace, CellFacts, named)
    flag, equals, _ = word.value.partition("=")
    if equals and flag in _VALUES and flag in _FLAGS.get(command, ()) and word.raw.startswith(f"{flag}="):
        return _complete_flag(command, flag, word.after(f"{flag}="))
    if given and given[-1] in _VALUES and given[-1] in _FLAGS.get(command, ()):
        return _complete_flag(command, given[-1], word)
    choices = _arguments(command, [one for one in given if not one.startswith("--")], word.value, namespace)
    if word.value.startswith("-") or (given and not word.value):
        choices = [*choices, *_flags(command, given)]
    return word.complete(word.value, choices)


def _complete_flag(command: str, flag: str, word: Word) -> Completions:
    if command == "load" and flag == "--metric":
        return NOTHING
    return word.complete(word.value, candidates(_VALUES[flag], "value"))


def _flags(command: str, given: Sequence[str]) -> list[Candidate]:
    if command == "cluster" and given[:1] != ["start"]:
        return []
    taken = {one.partition("=")[0] for one in given}
    return candidates([flag for flag in _FLAGS.get(command, ()) if flag not in taken], "keyword")


def _arguments(command: str, given: Sequence[str], text: str, namespace: Mapping[str, Any]) -> list[Candidate]:
    """Return what may stand after some arguments of a command."""
    if command == "help":
        return [] if given else help_candidates(text)
    if command == "cluster":
        return [] if given else candidates(["start", "stop", "auto", "local", "ray://"], "keyword", final=False)
    if command == "list":
        used = [session["storage"]] if isinstance(session.get("storage"), str) else []
        return [] if given else [*candidates(used, "path"), *folder_candidates(text)]
    if command == "load":
        return [] if given else [*_stored(text), *folder_candidates(text)]
    if command == "attach":
        return [] if given else named_experiments(namespace, running=True)
    if not given:
        if command == "resume":
            named = named_experiments(namespace, running=False)
            return [*of_notebook(namespace, *_OVER), *named]
        return of_notebook(namespace, *(_RUNNING if command in ("stop", "pause", "limit") else ()))
    return _of_experiment(command, given, text, namespace)


def _of_experiment(command: str, given: Sequence[str], text: str, namespace: Mapping[str, Any]) -> list[Candidate]:
    experiment = variables.experiments(namespace).get(given[0])
    rest = given[1:]
    if command == "limit":
        return [] if rest else candidates(["none"], "value")
    if command in ("stop", "pause", "resume", "clone") and not rest:
        statuses = {"stop": ("running", "paused", "pending"), "pause": ("running",), "resume": ("paused",)}
        return trials_of(experiment, *statuses.get(command, ()))
    if command in ("add", "clone"):
        name, equals, value = text.partition("=")
        if equals:
            plain = [one for one, variable in variables.variables(namespace) if type(variable) in (int, float, str)]
            return [Candidate(f"{name}={one}", "instance") for one in plain if one.startswith(value)]
        taken = {one.partition("=")[0] for one in rest}
        return [Candidate(f"{one}=", "param", False) for one in parameters_of(experiment) if one not in taken]
    return []


def help_candidates(text: str) -> list[Candidate]:
    """Return what ``%tune help`` explains; options with dashes if the text begins with one.

    Args:
        text: the word up to the cursor.
    """
    topics = help_topics()
    if text.startswith("-"):
        return candidates([topic for topic in topics if topic.startswith("--")], "keyword")
    return candidates(dict.fromkeys(topic.removeprefix("--") for topic in topics), "keyword")


def _stored(text: str) -> list[Candidate]:
    """Return the folders of stored experiments, which `load` takes, the latest first."""
    if text.startswith((".", "~")) or ("/" in text and not text.startswith("/")):
        return []
    folders = [folder for _, folder in reversed(stored_folders())]
    return candidates(folders, "path")
