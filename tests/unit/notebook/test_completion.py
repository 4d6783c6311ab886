"""nbtune.notebook.completion: the tab key on the lines of `%%tune` and `%tune`, and in a cell."""

import threading
import time
import types
import warnings
from functools import partial

import pytest
import ray.tune
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from nbtune.notebook.completion.cell import read_cell
from nbtune.notebook.completion.commands import help_candidates
from nbtune.notebook.completion.ipython import add_matcher
from nbtune.notebook.completion.lookup import Lookups
from nbtune.notebook.completion.matcher import complete
from nbtune.notebook.completion.options import option_flags
from nbtune.notebook.completion.values import FREE, Line, complete_value
from nbtune.notebook.completion.words import Word
from nbtune.notebook.help_line import help_text
from nbtune.spec.options.defaults import session
from nbtune.spec.options.help import COMMANDS
from nbtune.spec.options.line import parse_line
from nbtune.spec.options.named import SCHEDULERS, SEARCHES
from nbtune.spec.options.options import OPTIONS
from nbtune.spec.options.tokenizer import split_line
from nbtune.spec.space.domain import SPACE_FUNCTIONS
from nbtune.testing import example, replay

CELL = """
lr: loguniform(1e-4, 1e-1) = 0.01
net: {"hidden": choice([32, 64]), "dropout": uniform(0, 0.5)}
for epoch in range(9):
    report(accuracy=lr, loss=1)
report({"val/loss": 1})
"""


class Noting(ray.tune.Callback):
    pass


def train(config):
    ray.tune.report({"score": config["a"], "cost": 1})


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder without results: the names of stored experiments are completed, too."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def namespace():
    return {
        "space": {"lr": ray.tune.uniform(0, 1)},
        "count": 3,
        "half": 0.5,
        "where": "/data",
        "train": train,
        "noting": Noting(),
        "several": [Noting()],
        "halving": ASHAScheduler(),
        "finder": OptunaSearch(),
        "points": [{"lr": 0.1}],
        "digits": replay(example(trials=4, reports=3)),
        "partial_train": partial(train),
        "Trained": type("Trained", (ray.tune.Trainable,), {"__module__": "__main__"}),
        "_hidden": {"lr": 1},
        "In": ["", "x"],
        "math": types.ModuleType("math"),
    }


def at(text):
    """Return the text, line and column of a text with the cursor at ``|``; a cell without its code gets one."""
    before, _, after = text.partition("|")
    whole = before + after
    if whole.lstrip().startswith("%%tune") and "\n" not in whole.strip():
        whole += CELL
    return whole, before.count("\n"), len(before.rpartition("\n")[2])


def completed(text, namespace=None):
    """Return what the candidates make of the text before the cursor on its line."""
    whole, line, column = at(text)
    answer = complete(whole, line, column, namespace or {})
    if answer is None:
        return None
    found = answer.completions
    before = whole.split("\n")[line][:column]
    assert before.endswith(found.fragment)
    return [before[: len(before) - len(found.fragment)] + one.text for one in found.candidates]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%%tune my_exp --sch|", ["%%tune my_exp --scheduler"]),
        ("%%tune --sch| --samples 3", ["%%tune --scheduler"]),
        ("%%time\n\n%%tune --sch|", ["%%tune --scheduler"]),
        ("%%tune digits --max-|", ["%%tune digits --max-concurrent", "%%tune digits --max-failures"]),
        ("%%tune digits --max_|", ["%%tune digits --max_concurrent", "%%tune digits --max_failures"]),
        ("%%tune --search he|", ["%%tune --search hebo"]),
        ("%%tune --search=bay|", ["%%tune --search=bayesopt"]),
        ('%%tune --search "bo|', ['%%tune --search "bohb"']),
        ('%%tune --search "bo|"', ['%%tune --search "bohb']),
        ("%%tune --scheduler as|", ["%%tune --scheduler asha"]),
        ('%%tune --scheduler "asha(max|', ['%%tune --scheduler "asha(max_t=']),
        ("%%tune --scheduler asha(max|", ["%%tune --scheduler asha(max_t="]),
        ("%%tune --scheduler 'asha(max_t=5, gr|", ["%%tune --scheduler 'asha(max_t=5, grace_period="]),
        ("%%tune --scheduler \"asha(mode=|", [f"%%tune --scheduler \"asha(mode='{one}'" for one in ("min", "max")]),
        ("%%tune --scheduler 'asha(metric=\"acc|", ["%%tune --scheduler 'asha(metric=\"accuracy\""]),
        ("%%tune --search optuna(sampler='g|", ["%%tune --search optuna(sampler='gp'"]),
        ("%%tune --search \"optuna(multivariate=T|", ["%%tune --search \"optuna(multivariate=True"]),
        ("%%tune --search \"optuna(sampler='gp', n_st|", ["%%tune --search \"optuna(sampler='gp', n_startup_trials="]),
        ("%%tune --scheduler \"asha(max_t=5)|", []),
        ("%%tune --metric |", [f"%%tune --metric {one}" for one in ("accuracy", "loss", "val/loss")]),
        ("%%tune --metric accuracy,|", ["%%tune --metric accuracy,loss", "%%tune --metric accuracy,val/loss"]),
        ("%%tune --metric acc| --mode max", ["%%tune --metric accuracy"]),
        ("%%tune --mode m|", ["%%tune --mode max", "%%tune --mode min"]),
        ("%%tune --mode max,mi|", ["%%tune --mode max,min"]),
        ("%%tune --framework t|", ["%%tune --framework torch", "%%tune --framework tensorflow"]),
        ("%%tune --placement-strategy pa|", ["%%tune --placement-strategy PACK"]),
        ("%%tune --fail-fast |", ["%%tune --fail-fast yes", "%%tune --fail-fast no"]),
        ("%%tune --mutate l|", ["%%tune --mutate lr"]),
        ("%%tune --mutate lr,|", ["%%tune --mutate lr,net"]),
        ("%%tune --workers n|", ["%%tune --workers net"]),
        ("%%tune --keep-by max|", [f"%%tune --keep-by max\\ {one}" for one in ("accuracy", "loss", "val/loss")]),
        ("%%tune --keep-by 'max a|", ["%%tune --keep-by 'max accuracy'"]),
        ('%%tune --stop "acc|', ['%%tune --stop "accuracy']),
        ('%%tune --stop "accuracy > 0.9 or pl|', ['%%tune --stop "accuracy > 0.9 or plateau(']),
        ('%%tune --stop "plateau(lo|', ['%%tune --stop "plateau(loss']),
        ("%%tune --memory 4|", [f"%%tune --memory 4{one}" for one in ("GB", "MB", "TB", "GiB", "MiB", "TiB")]),
        ("%%tune --time-budget 1h3|", [f"%%tune --time-budget 1h3{one}" for one in "smhd"]),
        ("%%tune --dataset train=ds --dataset-config tr|", ["%%tune --dataset train=ds --dataset-config train"]),
        ("%%tune --trial-resources C|", ["%%tune --trial-resources CPU="]),
        ("%%tune --label-selector ray.io/acc|", ["%%tune --label-selector ray.io/accelerator-type="]),
        ("%tune exte|", ["%tune extend"]),
        ("%tune cluster st|", ["%tune cluster start", "%tune cluster stop"]),
        ("%tune cluster start --id|", ["%tune cluster start --idle"]),
        ("%tune help zo|", ["%tune help zoopt"]),
        ("%tune help --sto|", ["%tune help --stop", "%tune help --storage", "%tune help --storage-filesystem"]),
        ("%tune help ze|", []),
        ("if x:\n    %tune exte|", ["    %tune extend"]),
        ("plan = %tune exte|", ["plan = %tune extend"]),
        ("%tune run f --scheduler \\\n  as|", ["  asha"]),
        ("%config NbTune.scheduler = |", [f'%config NbTune.scheduler = "{one}"' for one in SCHEDULERS]),
        ('%config NbTune.start = "lo|', ['%config NbTune.start = "load"']),
        ('%config NbTune.scope = "av|"', ['%config NbTune.scope = "avg']),
    ],
)  # fmt: skip
def test_the_tab_key(text, expected):
    assert completed(text) == expected


@pytest.mark.parametrize(
    "text", ["%%tu|ne x", "%%tune|", "%tune|", "x = 1|", "%%bash\nls |", "print('%tune |')", "%tuner x|", "a %tune s|"]
)
def test_other_places_are_left_to_ipython(text):
    assert completed(text) is None


@pytest.mark.parametrize(
    "text", ["%%tune # --sch|", "%%tune --storage a\\|", "%%tune my|", "%%tune --seed x|", "%tune nothing x|"]
)
def test_on_a_line_nothing_else_is_offered(text):
    assert completed(text) == []


def test_options_that_are_given_are_not_offered_again():
    flags = {one.split()[-1] for one in completed("%%tune --metric a --wait --replace |--dataset b=c")}
    assert flags == set(option_flags().values()) - {"--metric", "--wait", "--no-wait", "--replace", "--new"}
    assert flags <= {one.split()[-1] for one in completed("%%tune |")}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("%%tune --samples |", ["count"]),
        ("%%tune --gpus |", ["half", "count"]),
        ("%%tune --space |", ["space"]),
        ("%%tune --callbacks |", ["several", "noting"]),
        ("%%tune --scheduler h|", ["hyperband", "halving"]),
        ("%%tune --search f|", ["finder"]),
        ("%%tune --points |", ["points"]),
        ("%%tune --from d|", ["digits"]),
        ("%%tune --trial-name-creator |", ["partial_train", "train"]),
        ("%%tune --stop tr|", ["train"]),
        ("%%tune --space space --mutate l|", ["lr"]),
        ("%tune run |", ["Trained", "partial_train", "train"]),
        ("%tune run train --metric |", ["score", "cost"]),
        ("%tune plan d|", ["digits"]),
        ("%tune stop |", ["digits"]),
        ("%tune extend d|", ["digits"]),
        ("%tune clone digits 1 |", ["lr=", "hidden=", "--checkpoint"]),
        ("%tune add digits lr=0.1 |", ["hidden="]),
        ("%tune add digits lr=h|", ["lr=half"]),
        ("%tune clone digits |", ["0", "1", "2", "3", "--checkpoint"]),
        ("%tune resume digits --code |", ["stored", "new"]),
        ("%tune limit digits |", ["none"]),
    ],
)  # fmt: skip
def test_variables_and_experiments(namespace, text, names):
    shown = [one.split()[-1] for one in completed(text, namespace)]
    assert shown == names


RAN = []


class Hostile:
    """Says so when any of its code runs."""

    def __getattribute__(self, name):
        RAN.append(name)
        raise RuntimeError(name)

    def __eq__(self, other):
        RAN.append("==")
        return True

    def __len__(self):
        RAN.append("len")
        return 1

    __hash__ = None


class Meta(type):
    def __getattribute__(cls, name):
        RAN.append(f"class {name}")
        raise RuntimeError(name)

    def __instancecheck__(cls, other):
        RAN.append("isinstance")
        return True


class HostileClass(metaclass=Meta):
    pass


def test_completing_runs_no_code_of_the_variables():
    hostile = {"one": Hostile(), "kind": HostileClass, "of_kind": object.__new__(HostileClass)}
    hostile |= {"listed": [Hostile()], "named": {"a": Hostile()}, "pair": ("asha", {"max_t": Hostile()})}
    RAN.clear()
    for option in option_flags().values():
        for text in (f"%%tune {option} |", f"%tune run one {option} |", f"%tune run kind {option} |"):
            completed(text, hostile)
    for command in COMMANDS:
        completed(f"%tune {command} |", hostile)
        completed(f"%tune {command} one |", hostile)
    completed("%%tune x\none.|", hostile)
    assert RAN == []


@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in FREE])
def test_every_option_has_values_or_takes_a_number(name, namespace, tmp_path, monkeypatch):
    """A new option has to be added to the completion, or to `FREE`."""
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    known = dict(namespace, data=type("Dataset", (), {"__module__": "ray.data.dataset"})())
    known |= {"fs": type("FileSystem", (), {"__module__": "pyarrow._fs"})()}
    known |= {"config": type("DataConfig", (), {"__module__": "ray.train"})()}
    known |= {"shape": ray.train.ScalingConfig(), "flag": True, "labels": {"a": "b"}, "amounts": {"safe": 1}}
    flag, line = OPTIONS[name].flag, Line(known, lambda: read_cell(CELL))
    if name == "wait":
        assert flag in option_flags().values()
        return
    values = [complete_value(name, Word(text, text), line).candidates for text in ("", "4")]
    assert any(values), f"{flag} has no completions"


def test_folders_with_blanks_and_quotes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("my data", "it's", "plain", ".hidden", "my data/deep er"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    assert sorted(completed("%%tune --storage |")) == [
        f"%%tune --storage {one}" for one in ("it\\'s/", "my\\ data/", "plain/", "~/ray_results")
    ]
    assert completed("%%tune --storage .h|") == ["%%tune --storage .hidden/"]
    assert completed("%%tune --storage my\\ d|") == ["%%tune --storage my\\ data/"]
    assert completed("%%tune --storage my\\ data/d|") == ["%%tune --storage my\\ data/deep\\ er/"]
    assert completed('%%tune --storage "my d|') == ['%%tune --storage "my data/']
    assert completed('%%tune --storage="my data/|') == ['%%tune --storage="my data/deep er/']
    assert completed("%%tune --storage 'i|") == []
    assert completed("%%tune --storage s3://bucket/|") == []
    assert completed(f"%tune list {tmp_path}/pl|") == [f"%tune list {tmp_path}/plain/"]


def test_a_deleted_working_folder(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert completed("%%tune --storage |") == ["%%tune --storage ~/ray_results"]
    assert completed("%tune list |") == []
    assert completed("%tune attach |") is not None


def test_names_of_stored_experiments(tmp_path, monkeypatch):
    for name in ("digits_2026-01-02_10-00-00", "digits_2026-02-02_10-00-00", "other_2026-03-02_10-00-00"):
        (tmp_path / name / "nbtune").mkdir(parents=True)
    (tmp_path / "of_ray_2026-01-01_00-00-00").mkdir()
    (tmp_path / "of_ray_2026-01-01_00-00-00" / "experiment_state-2026.json").touch()
    (tmp_path / "nothing_2026-04-01_00-00-00").mkdir()
    monkeypatch.setitem(session, "storage", str(tmp_path))
    assert completed("%tune attach |") == [f"%tune attach {one}" for one in ("other", "digits", "of_ray")]
    assert completed("%tune resume di|") == ["%tune resume digits"]
    assert completed("%%tune --from ot|") == ["%%tune --from other"]
    latest = f"{tmp_path}/other_2026-03-02_10-00-00"
    assert completed("%tune load |")[0] == f"%tune load {latest}"
    assert completed(f"%tune load {tmp_path}/oth|")[0] == f"%tune load {latest}"
    monkeypatch.setitem(session, "storage", "s3://bucket/folder")
    assert completed("%tune attach |") == []


def test_a_slow_look_up_is_waited_for_only_briefly():
    going, lookups = threading.Event(), Lookups(wait=0.05)

    def find():
        yield 1
        going.wait(30)
        yield 2

    began = time.monotonic()
    assert lookups("a", find) == [1]
    assert lookups("a", find) == [1]
    assert [lookups(number, find) for number in range(20)].count([]) == 13, "only eight may hang"
    assert time.monotonic() - began < 3
    going.set()
    end = time.monotonic() + 30
    while lookups("a", find) != [1, 2]:
        assert time.monotonic() < end


BODY = 'lr: loguniform(1e-4, 1e-1)\nnet: {"hidden": choice([32, 64])}\nmodel = Net(lr)\nreport(accuracy=lr, loss=2)\n'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("wd: log|", ["loguniform", "lograndint"]),
        ('opt: {"a": cho|', ["choice"]),
        ("wd: loguniform(|", ["lower=", "upper=", "base="]),
        ("wd: loguniform(lower=1, u|", ["upper=", "uniform"]),
        ("x = l|", ["lr", "loguniform", "lograndint"]),
        ("x = ne|", ["net"]),
        ('x = net["|', ['hidden"']),
        ("x = net['h|']", ["hidden"]),
        ("report(|", ["accuracy=", "loss=", "checkpoint="]),
        ("report(accuracy=1, l|", ["loss=", "lr", "loguniform", "lograndint"]),
        ("nbtune.report(lo|", ["loss=", "loguniform", "lograndint"]),
        ('report({"acc|', ['accuracy"']),
        ('report({"loss": 1, "acc|', ['accuracy"']),
        ('get_dataset_shard("tr|', ['train"']),
        ("ge|", ["get_checkpoint", "get_context", "get_dataset_shard"]),
        ("if lr > 0.1:\n    req|", ["require"]),
        ("model.l|", []),
        ("# lo|", []),
        ("x = 'lo|", []),
        ("x = '''\nlo|", []),
        ("import l|", []),
        ("def l|", []),
        ("x = 1l|", []),
        ('x = {"a|', []),
    ],
)
def test_names_in_the_cell(line, expected):
    text, number, column = at(f"%%tune x --dataset train=ds\n{BODY}{line}\n")
    answer = complete(text, number, column, {})
    assert not answer.alone
    shown = [one.text for one in answer.completions.candidates]
    if line.endswith("(|") or not line.strip("|"):
        shown = shown[: len(expected)]
    assert shown == expected


def test_a_cell_that_is_being_written_is_understood():
    facts = read_cell("lr: uniform(0, 1)\n!ls\nfor x in range(3):\n    report(loss=1)\n    report(acc=\nwhile True:\n")
    assert facts.parameters == {"lr": ()}
    assert "loss" in facts.metrics
    assert read_cell("x = (" * 1000).metrics == ()
    assert read_cell("\0").metrics == ()


@pytest.fixture(scope="module")
def shell(namespace):
    shell = InteractiveShell()
    shell.user_ns.update(namespace)
    add_matcher(shell)
    add_matcher(shell)
    return shell


def offered(shell, text, cursor=None):
    with provisionalcompleter(), warnings.catch_warnings(record=True):
        return list(shell.Completer.completions(text, len(text) if cursor is None else cursor))


def test_ipython_adds_its_own_names_in_the_cell_only(shell):
    in_cell = {one.text: one.type for one in offered(shell, "%%tune x\nlr: uniform(0, 1)\nfor i in ra")}
    assert "range" in in_cell
    both = [one.text for one in offered(shell, "%%tune x\nlr: uniform(0, 1)\nx = l")]
    assert {"lr", "len", "loguniform"} <= set(both)
    line = {one.text: one.type for one in offered(shell, "%%tune x --samples \nreport(a=1)", 19)}
    assert line == {"count": "instance"}
    assert offered(shell, "%%tune x --seed q\nreport(a=1)", 17) == []
    assert {one.text for one in offered(shell, "count.bit_l")} == {"bit_length"}
    assert [one for one in shell.Completer.custom_matchers if getattr(one, "matcher_identifier", "") == "nbtune"][
        1:
    ] == []


def test_the_types_that_jupyterlab_shows(shell):
    def kinds(text, start):
        return {one.text: one.type for one in offered(shell, text) if one.text.startswith(start)}

    assert kinds("%%tune x\nlr: log", "logu") == {"loguniform": "function"}
    assert kinds("%%tune x\nlr: uniform(0, 1)\ny = l", "lr") in ({"lr": "param"}, {"lr": "statement"})
    assert kinds("%%tune x --space ", "sp") == {"space": "instance"}
    assert kinds("%%tune --sch", "--sch") == {"--scheduler": "keyword"}
    assert kinds("%tune run tr", "tr") == {"train": "function"}


WORDS = ["%%tune", "%tune", "%config NbTune.scheduler =", "run", "help", "--metric", "--search", "--storage", "--stop", "--dataset",
         "optuna(", "asha(max_t=", "report(", "lr:", "loguniform(", "net[", "#", "\\", "'", '"', "(", ")", "[", "{", "=", ",", ".", "\n",
         "train", "space", "digits", "é", "\t", "accuracy", "!ls", "\0", "\ud800"]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=14), st.lists(st.booleans(), min_size=14, max_size=14), st.data())
def test_any_text_is_answered_quickly(namespace, words, blanks, data):
    text = "".join(f"{word}{' ' * blank}" for word, blank in zip(words, blanks, strict=False))
    line = data.draw(st.integers(0, text.count("\n")))
    column = data.draw(st.integers(0, len(text.split("\n")[line])))
    began = time.process_time()
    answer = complete(text, line, column, namespace)
    assert time.process_time() - began < 1
    if answer is None:
        return
    before = text.split("\n")[line][:column]
    whole = "\n".join([*text.split("\n")[:line], before])
    assert whole.endswith(answer.completions.fragment)
    for one in answer.completions.candidates:
        assert one.text
        assert "\n" not in one.text


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([flag for name, flag in option_flags().items() if name not in ("help",)]),
    st.sampled_from(["", "=", "'", '"', '="']),
    st.sampled_from(["", "a", "as", "4", "max ", "l", "train", "optuna(", "acc"]),
)
def test_what_is_offered_is_accepted(namespace, flag, opened, start):
    """A completed value can be read: the option's reader accepts it, or it is about the value that goes on."""
    line = f"exp {flag}{opened if opened.startswith('=') else ' ' + opened}{start}"
    answer = complete(f"%%tune {line}{CELL}", 0, len(line) + 7, namespace)
    for one in answer.completions.candidates:
        text = line[: len(line) - len(answer.completions.fragment)] + one.text
        if not one.final or one.type == "keyword":
            continue
        words = split_line(text)
        assert len(words) <= 3, text
        parsed = parse_line(text, namespace)
        assert not parsed.problems, text
        for name, value in parsed.options.items():
            OPTIONS[name].read(value)


@pytest.mark.parametrize("size", [2_000, 200_000])
def test_long_texts_are_answered_quickly(size):
    for text in ("%%tune " + "a" * size, "%%tune " + "(" * size, "%%tune --stop '" + "a " * size, "%%tune x\n" + "x = (" * size,
                 "%%tune x\n" + "report(a=1)\n" * size, "%%tune --search optuna(" + "a" * size, "%tune " + "'" * size,
                 "%%tune x\n" + "a." * size, "%%tune --metric \n" + "broken broken\n" * (size // 10),
                 " " * size + "%tune ", "a" * size + " = %tune s"):  # fmt: skip
        began = time.process_time()
        lines = text.split("\n")
        complete(text, len(lines) - 1, len(lines[-1]), {})
        complete(text, 0, len(lines[0]), {})
        assert time.process_time() - began < 2, text[:30]


def test_every_topic_of_help_is_explained_and_offered():
    for one in [*help_candidates(""), *help_candidates("--")]:
        assert help_text(one.text).strip(), one.text
    offered_topics = {one.text for one in help_candidates("")}
    assert {
        *COMMANDS,
        *SEARCHES,
        *SCHEDULERS,
        *SPACE_FUNCTIONS,
        "samples",
        "dataset",
        "from",
        "replace",
    } <= offered_topics
