"""nbtune.notebook.completion: the tab key on the lines of `%%tune` and `%tune`."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

from nbtune.notebook.completion import complete_line
from nbtune.spec.options.named import SCHEDULERS, SEARCHES


@pytest.fixture(scope="module")
def shell():
    shell = InteractiveShell()
    shell.set_hook("complete_command", complete_line, re_key=r".*%tune\b")
    return shell


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("%%tune digits --search he", ["hebo"]),
        ("%%tune digits --search=bay", ["bayesopt"]),
        ('%%tune digits --search "bo', ["bohb"]),
        ("%%tune digits --search ", SEARCHES),
        ("%%tune digits --scheduler pb", ["pbt", "pb2", "pbt_replay"]),
        ("%tune run f --scheduler ", SCHEDULERS),
        ("%%tune digits --search optuna(samp", ["sampler="]),
        ("%%tune digits --search \"optuna(sampler='gp', n_st", ["n_startup_trials="]),
        ("%%tune digits --scheduler asha(", ["time_attr=", "max_t="]),
        ("%tune help ze", []),
        ("%tune help zo", ["zoopt"]),
        ("%%tune digits --sched", ["--scheduler"]),
        ("%%tune digits --max-", ["--max-concurrent", "--max-failures"]),
    ],
)
def test_the_tab_key(shell, line, completed):
    _, matches = shell.complete(None, line, len(line))
    if completed:
        assert set(completed) <= {match.strip("'\"") for match in matches}, matches
    else:
        assert not [match for match in matches if match.startswith("ze")]
