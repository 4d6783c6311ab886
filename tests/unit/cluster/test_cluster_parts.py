"""The parts of connecting that need no cluster: addresses, the line, the token, messages, the state file, processes."""

import os
import subprocess
import sys

import pytest
from IPython.lib.pretty import pretty

import nbtune
from nbtune.cluster.link import auth, survey
from nbtune.cluster.link.address import Address, parse
from nbtune.cluster.link.link import Cluster
from nbtune.cluster.link.probe import _check_versions
from nbtune.cluster.local import processes, state
from nbtune.cluster.local.guardian import failure_reason
from nbtune.errors import ClusterError, SpecError
from nbtune.notebook.cluster_line import ClusterCommand, parse_cluster_line


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NBTUNE_HOME", str(tmp_path / "nbtune"))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("auto", Address("auto"), "auto"),
        ("local", Address("local"), "local"),
        ("10.0.0.1:6379", Address("gcs", "10.0.0.1", 6379), "10.0.0.1:6379"),
        ("[::1]:6379", Address("gcs", "::1", 6379), "[::1]:6379"),
        (" ray://head:10001 ", Address("client", "head", 10001), "ray://head:10001"),
    ],
)
def test_addresses(text, address, shown):
    assert parse(text) == address
    assert str(parse(text)) == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nowhere", "cluster address: expected HOST:PORT, auto, local, or ray://HOST:PORT, got 'nowhere'"),
        ("lcoal", "did you mean 'local'?"),
        ("head:", "got 'head:'"),
        ("head:0", "got 'head:0'"),
        ("head:99999", "got 'head:99999'"),
        (":6379", "got ':6379'"),
        ("http://head:8265", "http:// is not supported"),
        ("ray://head", "got 'ray://head'"),
    ],
)
def test_what_is_no_address(text, words):
    with pytest.raises(ClusterError) as caught:
        parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", ClusterCommand("connect", {"address": None})),
        ("head:6379", ClusterCommand("connect", {"address": "head:6379"})),
        ("local", ClusterCommand("connect", {"address": "local"})),
        ("start", ClusterCommand("start")),
        ("start --cpus 4 --gpus=0 --idle 30m", ClusterCommand("start", {"cpus": 4, "gpus": 0, "idle": 1800.0})),
        ("stop", ClusterCommand("stop")),
    ],
)
def test_lines(line, command):
    assert parse_cluster_line(line) == command


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("strat", ["unknown command 'strat' (did you mean 'start'?)", "%tune cluster [HOST:PORT"]),
        ("head:port", ["got 'head:port'"]),
        ("stop now", ["%tune cluster stop: unexpected 'now'"]),
        ("head:1 2", ["unexpected '2'"]),
        ("start --cpu 2", ["unknown argument --cpu (did you mean '--cpus'?)", "start [--cpus N] [--gpus N]"]),
        ("start --cpus", ["--cpus needs a value: an integer >= 1"]),
        (
            "start --cpus 0 --idle soon",
            ["2 problems", "--cpus: expected an integer >= 1, got '0'", "--idle: expected a duration"],
        ),
        ("start --gpus 1 --gpus 2", ["--gpus is given twice"]),
        ("start 'x", ["the quote ' at position 7 is not closed"]),
    ],
)
def test_lines_that_are_wrong(line, words):
    with pytest.raises(SpecError) as caught:
        parse_cluster_line(line)
    for word in words:
        assert word in str(caught.value)


def test_a_token_is_created_once_and_for_this_user_alone(home):
    assert auth.token_source() is None
    auth.ensure_token()
    file = home / ".ray" / "auth_token"
    token = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(token) >= 32
    auth.ensure_token()
    assert file.read_text() == token
    assert auth.token_source() == str(file)


def test_where_a_token_is_found(home, monkeypatch):
    auth.ensure_token()
    named = home / "other"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(named))
    with pytest.raises(ClusterError, match="the file of RAY_AUTH_TOKEN_PATH does not exist: .*other"):
        auth.token_source()
    named.write_text("\n")
    assert auth.token_source() is None
    named.write_text("secret")
    assert auth.token_source() == str(named)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    assert auth.token_source() == "the environment variable RAY_AUTH_TOKEN"


def test_a_mode_that_nbtune_has_set_is_not_the_users(home, monkeypatch):
    monkeypatch.setattr("nbtune.cluster.link._ray.reload_authentication", lambda: None)
    auth.use_mode("token")
    assert (os.environ["RAY_AUTH_MODE"], auth.requested_mode()) == ("token", None)
    auth.use_mode("disabled")
    assert (os.environ["RAY_AUTH_MODE"], auth.requested_mode()) == ("disabled", None)
    auth.reset_mode()
    assert "RAY_AUTH_MODE" not in os.environ
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    auth.use_mode("token")
    auth.reset_mode()
    assert os.environ["RAY_AUTH_MODE"] == "token"


HERE = (".".join(map(str, sys.version_info[:3])), "2.60.0", nbtune.__version__)


def report(node="10.0.0.1", python=HERE[0], ray=None, own=HERE[2], missing=()):
    import importlib.metadata

    return survey.NodeReport(node, python, ray or importlib.metadata.version("ray"), own, missing)


def test_a_cluster_that_fits():
    survey.check_compatible([report(), report(own=None, missing=("torch",))])
    assert survey.missing_packages([report(), report(missing=("torch",))]) == ("torch",)
    assert survey.nodes_without_nbtune([report(), report("10.0.0.2", own=None)]) == ["10.0.0.2"]


def test_every_difference_is_named_with_its_node():
    with pytest.raises(ClusterError) as caught:
        survey.check_compatible(
            [
                report("a", python="3.9.1"),
                report("b", ray="2.1.0", own="0.0.9", missing=("pandas", "pyarrow", "torch")),
                report("c", own="0.0.9"),
            ]
        )
    message = str(caught.value)
    assert f"Python 3.9.1 instead of {HERE[0]} on a" in message
    assert "Ray 2.1.0 instead of " in message
    assert f"nbtune 0.0.9 instead of {HERE[2]} on 2 nodes, for example b" in message
    assert "pandas, pyarrow not installed on b" in message


def test_what_a_cluster_says_of_itself_before_anybody_joins_it():
    with pytest.raises(ClusterError) as caught:
        _check_versions(parse("head:1"), {"python": "3.9.1", "ray": "2.1.0"})
    assert f"Python 3.9.1 instead of {HERE[0]} and Ray 2.1.0 instead of " in str(caught.value)
    _check_versions(parse("head:1"), {"python": None, "ray": None})


def test_a_cluster_as_text():
    nodes = ({"CPU": 4.0}, {"CPU": 4.0, "GPU": 1.0})
    assert str(Cluster("a:1", False, nodes)) == "Ray at a:1: 2 nodes, 8 CPUs, 1 GPUs"
    assert pretty(Cluster("a:1", False, nodes)) == str(Cluster("a:1", False, nodes)), "as the last line of a cell"
    assert str(Cluster("a:1", False, nodes, local=True)).startswith("local cluster at a:1: ")
    assert str(Cluster("a:1", False, nodes, missing=("optuna",))).endswith("; not installed: optuna")


STATE = state.State("127.0.0.1:1", "/nowhere", (1, 2.0), (3, 4.0), 2, None, 60.0, "python", ("3", "2", "1"))


def test_the_state_file_is_for_this_user_alone(home):
    assert state.read() is None
    state.write(STATE)
    assert state.read() == STATE
    assert (home / "nbtune" / "cluster.json").stat().st_mode & 0o777 == 0o600
    assert (home / "nbtune").stat().st_mode & 0o777 == 0o700
    state.remove("/another")
    assert state.read() == STATE
    state.remove("/nowhere")
    assert state.read() is None
    (home / "nbtune" / "cluster.json").write_text('{"address": 1}')
    assert state.read() is None


def test_the_lock_is_held_once(home):
    with state.locked() as held:
        assert held
        with state.locked(wait=False) as twice:
            assert not twice
    with state.locked(wait=False) as again:
        assert again


def test_only_the_clusters_own_processes_end(tmp_path):
    sleep = [sys.executable, "-c", "import time; print(flush=True); time.sleep(100)"]
    environment = {**os.environ, processes.MARK: str(tmp_path)}
    ours = subprocess.Popen(sleep, env=environment, stdout=subprocess.PIPE)
    other = subprocess.Popen(sleep, env={**os.environ, processes.MARK: f"{tmp_path}x"}, stdout=subprocess.PIPE)
    try:
        for process in (ours, other):
            process.stdout.readline()
        pid, created = processes.identity(ours.pid)
        assert processes.alive((pid, created))
        assert processes.alive((pid, created - 100)) is None  # the id of an earlier process
        processes.terminate(str(tmp_path))
        assert processes.alive((pid, created)) is None
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()
            process.stdout.close()


def test_why_ray_did_not_start_is_found_in_its_logs(tmp_path):
    assert failure_reason(tmp_path) == "Ray's logs are empty"
    (tmp_path / "ray.log").write_text(
        "Local node IP: 127.0.0.1\nTraceback (most recent call last):\n  x = y\nValueError: too many\n"
    )
    assert failure_reason(tmp_path) == "ValueError: too many"
    logs = tmp_path / "ray" / "session_latest" / "logs"
    logs.mkdir(parents=True)
    (logs / "gcs_server.err").write_text("no room left\n")
    (tmp_path / "ray.log").write_text("")
    assert failure_reason(tmp_path) == "no room left"
