"""nbtune.spec.options.defaults: precedence of flags, session and project file."""

import pytest

from nbtune.spec.options.defaults import early_start, read_start, session, with_defaults


@pytest.fixture(autouse=True)
def own_session():
    before = dict(session)
    session.clear()
    yield
    session.clear()
    session.update(before)


@pytest.fixture
def project(tmp_path):
    def write(text):
        (tmp_path / "pyproject.toml").write_text(text, "utf-8")
        return tmp_path

    return write


def test_the_project_file_provides_defaults(project):
    folder = project('[tool.nbtune]\nstorage = "/data"\nmax-concurrent = 4\ncpus = 2\n')
    assert with_defaults({}, folder) == ({"storage": "/data", "max_concurrent": 4, "cpus": 2}, [])


def test_a_flag_overrides_the_session_which_overrides_the_project(project):
    folder = project("[tool.nbtune]\nsamples = 1\ncpus = 1\ngpus = 1\n")
    session.update(samples=2, cpus=2)
    assert with_defaults({"samples": 3}, folder)[0] == {"samples": 3, "cpus": 2, "gpus": 1}


def test_none_means_not_given(project):
    folder = project("[tool.nbtune]\nsamples = 1\ncpus = 1\n")
    session.update(samples=None, seed=5)
    assert with_defaults({"cpus": None, "seed": None}, folder)[0] == {"samples": 1, "cpus": 1, "seed": 5}


def test_the_nearest_project_file_in_parent_directories_is_used(project):
    folder = project("[tool.nbtune]\nsamples = 1\n")
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    assert with_defaults({}, inner)[0] == {"samples": 1}
    (folder / "a" / "pyproject.toml").write_text("[tool.other]\n", "utf-8")
    assert with_defaults({}, inner)[0] == {}


def test_the_search_starts_in_the_working_directory(project, monkeypatch):
    monkeypatch.chdir(project("[tool.nbtune]\nsamples = 7\n"))
    assert with_defaults({})[0] == {"samples": 7}


def test_an_unknown_key_is_a_problem_and_not_an_option(project):
    folder = project("[tool.nbtune]\nsmaples = 1\ncpus = 2\n")
    options, (problem,) = with_defaults({}, folder)
    assert options == {"cpus": 2}
    assert "unknown option 'smaples' (did you mean 'samples'?)" in problem.message
    assert str(folder / "pyproject.toml") in problem.message


def test_an_invalid_toml_file_is_a_problem(project):
    options, (problem,) = with_defaults({"cpus": 1}, project("[tool.nbtune\n"))
    assert options == {"cpus": 1}
    assert "cannot be read" in problem.message


@pytest.mark.parametrize("text", ["tool = 5\n", "[tool]\nnbtune = 5\n", "[[tool.nbtune]]\ncpus = 1\n"])
def test_an_entry_that_is_not_a_table_is_a_problem(project, text):
    options, (problem,) = with_defaults({}, project(text))
    assert options == {}
    assert "[tool.nbtune]" in problem.message


def test_a_missing_project_file_is_not_a_problem(tmp_path):
    (tmp_path / "pyproject.toml").write_text("", "utf-8")
    assert with_defaults({}, tmp_path) == ({}, [])


def test_when_ray_starts(project):
    assert not early_start(project("[tool.nbtune]\ncpus = 1\n"))
    folder = project('[tool.nbtune]\nstart = "load"\ncpus = 1\n')
    assert early_start(folder)
    assert with_defaults({}, folder) == ({"cpus": 1}, []), "it is not an option of an experiment"
    session["start"] = "sweep"
    assert not early_start(folder)
    session["start"] = None
    assert early_start(folder)
    _, (problem,) = with_defaults({}, project('[tool.nbtune]\nstart = "lod"\n'))
    assert str(problem).endswith(
        'pyproject.toml, [tool.nbtune]: start: expected one of "load" (at once, in the background), "sweep" (with the'
        " first experiment), got 'lod' (did you mean 'load'?)"
    )
    with pytest.raises(ValueError, match="got 1"):
        read_start(1)
