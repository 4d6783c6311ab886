"""The commands of ``%tune`` about an experiment: read from a line, executed, and answered with a sentence."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from nbtune.errors import ExperimentError, SpecError, did_you_mean
from nbtune.results.controls import CODE_CHOICES
from nbtune.results.experiment import Experiment
from nbtune.results.trial import Trial
from nbtune.spec.options.tokenizer import split_line

__all__ = ["COMMANDS", "execute", "experiment_of", "take_code"]

COMMANDS = {
    "add": "add NAME lr=0.01 …",
    "clone": "clone NAME TRIAL [--checkpoint] lr=0.01 …",
    "extend": "extend NAME SAMPLES",
    "limit": "limit NAME N|none",
    "pause": "pause NAME TRIAL",
    "resume": "resume NAME TRIAL",
    "stop": "stop NAME [TRIAL]",
}
"""Command -> its syntax."""


def execute(command: str, line: str, namespace: Mapping[str, Any]) -> str:
    """Execute a command of ``%tune`` about an experiment.

    Args:
        command: one of `COMMANDS`.
        line: the text after the command.
        namespace: the notebook's variables: experiments, and values of parameters.

    Returns:
        A sentence on what was done.

    Raises:
        SpecError: the line does not have the syntax of the command.
        ExperimentError: there is no such experiment or trial, or it refuses the command.
    """
    words = split_line(line)
    if not words:
        raise SpecError([f"%tune {command} needs an experiment: %tune {COMMANDS[command]}"])
    experiment = experiment_of(words.pop(0), namespace)
    handlers: dict[str, Callable[[], str]] = {
        "add": lambda: _add(experiment, words, namespace),
        "clone": lambda: _clone(experiment, words, namespace),
        "extend": lambda: _extend(experiment, words),
        "limit": lambda: _limit(experiment, words),
        "pause": lambda: _pause(experiment, words),
        "stop": lambda: _stop(experiment, words),
        "resume": lambda: _resume(experiment, words),
    }
    return handlers[command]()


def experiment_of(name: str, namespace: Mapping[str, Any]) -> Experiment:
    """Return the experiment that a variable of the notebook refers to.

    Args:
        name: the name of the variable.
        namespace: the notebook's variables.

    Raises:
        ExperimentError: there is no such variable, or it is not an experiment.
    """
    known = {key: value for key, value in namespace.items() if isinstance(value, Experiment)}
    if name not in known:
        names = ", ".join(key for key in known if not key.startswith("_")) or "none"
        raise ExperimentError(
            f"there is no experiment {name!r} in this notebook{did_you_mean(name, known)}; there are: {names}."
            f" %tune attach {name} brings one back from the cluster or from storage"
        )
    return known[name]


def take_code(words: list[str]) -> tuple[list[str], str]:
    """Take ``--code new`` or ``--code stored`` out of the words of a line.

    Args:
        words: the words.

    Returns:
        The other words, and "new" or "stored", which is also the default.

    Raises:
        SpecError: there is no value, or another one.
    """
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--code=") else [word])]
    if "--code" not in words:
        return words, "stored"
    at = words.index("--code")
    value = words[at + 1] if at + 1 < len(words) else ""
    if value not in CODE_CHOICES:
        raise SpecError(
            [f"--code: expected new or stored, got {value or 'nothing'}{did_you_mean(value, CODE_CHOICES)}"]
        )
    return [*words[:at], *words[at + 2 :]], value


def _stop(experiment: Experiment, words: list[str]) -> str:
    if not words:
        if sentence := experiment.needless("stop"):
            return sentence
        experiment.stop()
        return f"{experiment.name} is being stopped; %tune resume {experiment.name} goes on"
    trial = _trial("stop", experiment, words)
    if sentence := experiment.needless("stop") or trial.needless("stop"):
        return sentence
    trial.stop()
    return f"trial {trial.id} of {experiment.name} is stopped"


def _pause(experiment: Experiment, words: list[str]) -> str:
    trial = _trial("pause", experiment, words)
    if sentence := experiment.needless("pause") or trial.needless("pause"):
        return sentence
    trial.pause()
    return f"trial {trial.id} of {experiment.name} pauses with its next checkpoint"


def _resume(experiment: Experiment, words: list[str]) -> str:
    trial = _trial("resume", experiment, words)
    trial.resume()
    return f"trial {trial.id} of {experiment.name} resumes as soon as there is capacity"


def _add(experiment: Experiment, words: list[str], namespace: Mapping[str, Any]) -> str:
    point = _values("add", words, namespace)
    experiment.add(point)
    return f"{experiment.name} tries {_shown(point)} next"


def _clone(experiment: Experiment, words: list[str], namespace: Mapping[str, Any]) -> str:
    checkpoint = "--checkpoint" in words
    rest = [word for word in words if word != "--checkpoint"]
    trial = _trial("clone", experiment, rest[:1])
    changes = _values("clone", rest[1:], namespace)
    trial.clone(changes, checkpoint=checkpoint)
    start = " from its checkpoint" if checkpoint else ""
    return f"{experiment.name} tries trial {trial.id} again{start} with {_shown(changes)} next"


def _extend(experiment: Experiment, words: list[str]) -> str:
    if len(words) != 1 or not words[0].isdigit():
        raise SpecError([f"%tune extend needs how many samples: %tune {COMMANDS['extend']}"])
    experiment.extend(int(words[0]))
    return f"{experiment.name} tries {words[0]} more samples"


def _limit(experiment: Experiment, words: list[str]) -> str:
    if len(words) != 1 or not (words[0].isdigit() or words[0] == "none"):
        raise SpecError([f"%tune limit needs how many trials may run at once: %tune {COMMANDS['limit']}"])
    if sentence := experiment.needless("limit"):
        return sentence
    experiment.max_concurrent = int(words[0]) if words[0].isdigit() else None
    return f"{experiment.name} runs {words[0] if words[0].isdigit() else 'as many trials as fit'} at once"


def _trial(command: str, experiment: Experiment, words: list[str]) -> Trial:
    if len(words) != 1 or not words[0].isdigit():
        raise SpecError([f"%tune {command} needs a trial's number: %tune {COMMANDS[command]}"])
    trials = experiment.trials
    if int(words[0]) not in trials:
        raise ExperimentError(f"{experiment.name} has no trial {words[0]}; it has {len(trials)}, numbered from 0")
    return trials[int(words[0])]


def _values(command: str, words: list[str], namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters in words like ``lr=0.01``: numbers, quoted text, variables, or else plain text."""
    values = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise SpecError([f"{word!r} is not NAME=VALUE: %tune {COMMANDS[command]}"])
        values[name] = _value(text, namespace)
    return values


def _value(text: str, namespace: Mapping[str, Any]) -> Any:
    if text.isidentifier() and text in namespace:
        return namespace[text]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _shown(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in point.items()) or "a sample"
