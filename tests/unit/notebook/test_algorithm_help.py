"""nbtune.notebook.algorithm_help: `%tune help NAME`."""

import pytest

from nbtune.engine.search.registry import ALGORITHMS, SCHEDULERS
from nbtune.errors import SpecError
from nbtune.notebook.algorithm_help import algorithm_page
from nbtune.notebook.help_line import asks_for_help, help_text
from nbtune.spec.space.domain import SPACE_FUNCTIONS


@pytest.mark.parametrize("name", dict.fromkeys([*ALGORITHMS, *SCHEDULERS]))
def test_a_page_has_all_that_the_registry_knows(name):
    page = algorithm_page(name)
    joined = " ".join(page.split())
    for entries, option in ((ALGORITHMS, "search"), (SCHEDULERS, "scheduler")):
        if (entry := entries.get(name)) is None:
            continue
        assert f"--{option} {name}: {entry.summary}" in joined
        assert all(argument in page and meaning in joined for argument, meaning in entry.arguments.items())
        assert all(package.name in page and package.versions in page for package in entry.packages)
        assert entry.partner is None or f" {entry.partner}" in page
    assert max(map(len, page.splitlines())) <= 110


def test_what_an_algorithm_does_not_take():
    assert "but choice, grid_search" in algorithm_page("bayesopt")
    assert "Searches all space functions\n" in f"{algorithm_page('random')}\n"
    assert "It learns from points that the user adds" in algorithm_page("hebo")
    assert "It does not learn" in algorithm_page("hyperopt")


def test_lists_of_all():
    for name in ALGORITHMS:
        assert f"    {name} " in algorithm_page("search")
    for name in SCHEDULERS:
        assert f"    {name} " in algorithm_page("scheduler")


def test_an_unknown_name():
    with pytest.raises(SpecError, match="got 'heboo' .did you mean 'hebo'"):
        algorithm_page("heboo")


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("", ["Contents."]),
        ("--scheduler", ["--scheduler NAME", "nbtune.tune(..., scheduler=...)"]),
        ("scheduler", ["--scheduler NAME", "    asha "]),
        ("max-concurrent", ["--max-concurrent N"]),
        ("max_concurrent", ["--max-concurrent N"]),
        ("from", ["--from NAME", "warm_start=..."]),
        ("stop", ["--stop COND", "%tune stop NAME [TRIAL]"]),
        ("resources", ["--resources NAME=N", "--scheduler resources:"]),
        ("loguniform", ["loguniform(lower, upper, base=None)"]),
    ],
)
def test_topics(line, parts):
    page = help_text(line)
    assert all(part in page for part in parts), page


@pytest.mark.parametrize(
    ("line", "hint"),
    [("--schedular", "--scheduler"), ("schedular", "scheduler"), ("resum", "resume"), ("logunifrom", "loguniform")],
)
def test_unknown_topics(line, hint):
    with pytest.raises(SpecError, match=f"did you mean '{hint}'"):
        help_text(line)


def test_every_space_function_is_explained():
    assert all(f"{name}(" in help_text(name) for name in SPACE_FUNCTIONS)


@pytest.mark.parametrize(
    ("line", "asked"),
    [("--help", True), ("x --metric a --help", True), ("x --env '--help", False), ("--helper", False)],
)
def test_asking_for_help(line, asked):
    assert asks_for_help(line) is asked
