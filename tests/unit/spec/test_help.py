"""nbtune.spec.options.help: the help page is complete."""

import pytest

from nbtune.spec.options.help import help_page
from nbtune.spec.options.line import parse_line
from nbtune.spec.options.named import SCHEDULERS, SEARCHES
from nbtune.spec.options.options import OPTIONS
from nbtune.spec.space.domain import SPACE_FUNCTIONS


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "name"])
def test_every_option_is_on_the_help_page(name):
    option = OPTIONS[name]
    page = " ".join(help_page().split())
    shown = "--wait, --no-wait" if name == "wait" else f"{option.flag} {option.shows}"
    assert f" {shown} {option.help}" in page


def test_the_name_and_the_switches_are_on_the_help_page():
    page = help_page()
    for text in (OPTIONS["name"].help, "--no-wait", "--dry-run", "--space VAR"):
        assert text in page


@pytest.mark.parametrize("name", [*SPACE_FUNCTIONS, *SEARCHES, *SCHEDULERS])
def test_every_short_name_is_on_the_help_page(name):
    assert name in help_page()


def test_the_help_page_fits_the_width_of_a_notebook():
    assert max(map(len, help_page().splitlines())) <= 110


def test_the_example_of_the_help_page_is_valid():
    line = next(line for line in help_page().splitlines() if line.strip().startswith("%%tune digits"))
    assert parse_line(line.split("%%tune")[1], {}).problems == []
