"""nbtune.notebook.algorithm_help: `%tune help NAME`."""

import pytest

from nbtune.engine.search.registry import ALGORITHMS, SCHEDULERS
from nbtune.errors import SpecError
from nbtune.notebook.algorithm_help import algorithm_page


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
