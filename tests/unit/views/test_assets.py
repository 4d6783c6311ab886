"""The files that the browser gets."""

import gzip
import subprocess
import sys
import threading

import pytest

from nbtune.views.base import assets
from nbtune.views.base.assets import asset, plotly_js, plotly_version


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty package in an empty checkout."""
    monkeypatch.setattr(assets, "_PACKAGE", tmp_path / "nbtune")
    for folder in ("nbtune/static", "widgets/src"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def test_a_checkout_uses_the_source_files():
    path = asset("theme.css")
    assert path.parts[-3:] == ("widgets", "src", "theme.css")
    assert ".nbt" in path.read_text("utf-8")


def test_the_file_of_the_wheel_has_precedence(place):
    (place / "widgets/src/header.js").touch()
    assert asset("header.js") == place / "widgets/src/header.js"
    (place / "nbtune/static/header.js").touch()
    assert asset("header.js") == place / "nbtune/static/header.js"


def test_a_missing_file_is_reported_with_both_folders(place):
    with pytest.raises(FileNotFoundError) as raised:
        asset("nothing.js")
    for part in ("'nothing.js'", str(place / "nbtune/static"), str(place / "widgets/src"), "install nbtune again"):
        assert part in str(raised.value)


def test_plotly_js_is_the_installed_one():
    text = gzip.decompress(plotly_js())
    assert b"plotly.js v" in text[:200]
    assert len(plotly_js()) < len(text) / 2
    import plotly

    assert plotly_version() == plotly.__version__


def test_plotly_js_is_compressed_once(monkeypatch):
    monkeypatch.setattr(assets, "_plotly", None)
    calls, compress = [], gzip.compress
    monkeypatch.setattr(gzip, "compress", lambda *a, **k: calls.append(a) or compress(*a, **k))
    got = []
    threads = [threading.Thread(target=lambda: got.append(plotly_js())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(got) == 4
    assert len({id(content) for content in got}) == 1


def test_plotly_js_does_not_import_plotly():
    code = "import sys\nfrom nbtune.views.base.assets import plotly_js\nassert plotly_js()\nassert 'plotly' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_missing_plotly_js_raises_an_error(monkeypatch):
    monkeypatch.setattr(assets, "_plotly", None)
    monkeypatch.setattr(assets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="install plotly"):
        plotly_js()
