"""``%tune help`` and its topics: options, commands, search algorithms, schedulers and space functions."""

from __future__ import annotations

from nbtune.errors import FLAGS, Problem, SpecError, did_you_mean
from nbtune.notebook.algorithm_help import algorithm_page
from nbtune.spec.options.help import command_page, help_page, help_topics, option_page
from nbtune.spec.options.named import SCHEDULERS, SEARCHES
from nbtune.spec.options.tokenizer import split_line
from nbtune.spec.space.domain import SPACE_FUNCTIONS

__all__ = ["asks_for_help", "help_text"]

_OPTIONS = {flag: name for name, flag in FLAGS.items()}


def asks_for_help(line: str) -> bool:
    """Tell whether a magic line contains ``--help``, so that it is answered and nothing is done.

    Args:
        line: the text after the name of the magic.
    """
    try:
        return "--help" in split_line(line)
    except SpecError:
        return False


def help_text(line: str) -> str:
    """Return the whole help page, or all that there is to know about a topic.

    Args:
        line: the text after ``%tune help``: nothing, or a topic. An option may be written with its dashes; without,
            whatever else has the name is explained as well.

    Raises:
        SpecError: there is no such topic.
    """
    words = split_line(line)
    if not words:
        return help_page()
    if len(words) > 1:
        raise SpecError([Problem(f"expected one topic, got {len(words)}: %tune help NAME", code="syntax")])
    word = words[0].removeprefix("%tune").strip()
    pages = [option_page(_option(word))]
    if not word.startswith("--"):
        pages.append(command_page(word))
        if word in ("search", "scheduler", *SEARCHES, *SCHEDULERS):
            pages.append(algorithm_page(word))
        if word in SPACE_FUNCTIONS:
            pages.append(_space_function(word))
    found = [page for page in pages if page]
    if not found:
        topics = help_topics()
        known = topics if word.startswith("-") else [topic.removeprefix("--") for topic in topics]
        text = f"there is no help on {word!r}{did_you_mean(word, known)}; %tune help lists all options and commands"
        raise SpecError([Problem(text, code="unknown")])
    return "\n\n".join(found)


def _option(word: str) -> str:
    name = word.removeprefix("--").replace("-", "_")
    return _OPTIONS.get(name, name)


def _space_function(name: str) -> str:
    return (
        f"{name}{SPACE_FUNCTIONS[name]}: {_DRAWS[name]}\n"
        f"    A space function of Ray Tune. In a cell  x: {_EXAMPLES[name]};  in Python  {{'x': nbtune.{name}(...)}}"
    )


_DRAWS = {
    "uniform": "a number between two bounds",
    "quniform": "a number between two bounds, a multiple of q; the upper bound is included",
    "loguniform": "a number between two bounds > 0, uniform in its logarithm",
    "qloguniform": "the same in multiples of q; the upper bound is included",
    "randn": "a number of a normal distribution",
    "qrandn": "a number of a normal distribution, a multiple of q",
    "randint": "an integer from lower to upper - 1",
    "qrandint": "an integer from lower to upper, a multiple of q; the upper bound is included",
    "lograndint": "an integer from lower to upper - 1, uniform in its logarithm",
    "qlograndint": "an integer from lower to upper, uniform in its logarithm, a multiple of q",
    "choice": "one of several values",
    "grid_search": "each of several values: all combinations of the grids are tried",
    "sample_from": "what a function returns, which may use the other parameters",
}
_EXAMPLES = {
    "uniform": "uniform(0, 1) = 0.5",
    "quniform": "quniform(0, 1, 0.1) = 0.5",
    "loguniform": "loguniform(1e-4, 1e-1) = 1e-2",
    "qloguniform": "qloguniform(1e-4, 1e-1, 1e-4) = 1e-2",
    "randn": "randn(0, 1) = 0",
    "qrandn": "qrandn(0, 1, 0.1) = 0",
    "randint": "randint(1, 10) = 5",
    "qrandint": "qrandint(8, 64, 8) = 32",
    "lograndint": "lograndint(1, 1000) = 100",
    "qlograndint": "qlograndint(8, 1024, 8) = 64",
    "choice": 'choice(["sgd", "adam"]) = "adam"',
    "grid_search": "grid_search([16, 32, 64]) = 32",
    "sample_from": "sample_from(draw)",
}
