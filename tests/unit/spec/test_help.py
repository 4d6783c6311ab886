"""nbtune.spec.options.help: the help page is complete."""

import pytest

from nbtune.spec.options.defaults import session
from nbtune.spec.options.help import COMMANDS, command_page, help_page, option_page
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


def test_the_contents_have_a_line_for_each_section():
    lines = help_page().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Contents."))
    end = lines.index("", start + 2)
    sections = [line[4:30].strip() for line in lines[start + 2 : end]]
    assert {option.group for option in OPTIONS.values()} <= set(sections)
    assert all(f"{section}:" in lines[end:] for section in sections)
    assert max(map(len, lines[start:end])) <= 86, "JupyterLab's tooltip would wrap them"


@pytest.mark.parametrize("name", [*OPTIONS, "no_wait", "space", "replace"])
def test_every_option_has_a_page(name):
    page = option_page(name)
    assert (OPTIONS[name].flag if name in OPTIONS and name not in ("name", "wait") else "") in page
    assert max(map(len, page.splitlines())) <= 110


def test_the_page_of_an_option_tells_its_values_and_what_the_session_has_set(monkeypatch):
    assert "last-5-avg                 the mean of the last 5" in option_page("scope")
    assert "In this notebook" not in option_page("samples")
    monkeypatch.setitem(session, "samples", 7)
    assert "In this notebook: 7" in option_page("samples")
    monkeypatch.setitem(session, "env", "TOKEN=secret")
    assert "secret" not in option_page("env")
    assert option_page("sampels") is None
    assert all(command_page(command) for command in COMMANDS)
