"""``%tune load``: trust and metric as options of the line."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

import nbtune
from nbtune.engine.protocol.not_loaded import NotLoaded
from nbtune.engine.protocol.recorded_trial import encode_config
from nbtune.errors import SpecError
from nbtune.notebook.load_line import load_options
from tests.unit.engine.test_trust import Activation, home, write_experiment  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def shell():
    shell = InteractiveShell()
    nbtune.load_ipython_extension(shell)
    return shell


def test_the_options_are_those_of_the_function(shell, tmp_path):
    folder = write_experiment(tmp_path / "one", encode_config({"f": Activation()}, None))
    shown = shell.run_line_magic("tune", f"load {folder} mine")
    assert isinstance(shown.best.config["f"], NotLoaded)
    trusted = shell.run_line_magic("tune", f"load --trust {folder} mine --metric loss --mode=max")
    assert trusted.best.config["f"] == Activation()
    assert trusted.best.id == 1
    assert shell.user_ns["mine"] is trusted


def test_what_is_no_option_of_load():
    assert load_options("a b") == (["a", "b"], {})
    for line in ("a --metric", "a --metric --mode min", "a --mode="):
        with pytest.raises(SpecError, match="needs a value; usage: %tune load PATH"):
            load_options(line)


def test_an_unknown_option_is_told(shell, tmp_path, capsys):
    with pytest.raises(SpecError, match=r"unknown option --trusted; usage: %tune load PATH"):
        shell.magics_manager.registry["NbTune"]._load(f"{tmp_path} --trusted")
