"""nbtune.passwords: no message, error or stored text has the password of a URL."""

from __future__ import annotations

import pytest

from nbtune.engine.protocol.environment import set_at_start
from nbtune.engine.protocol.failures import describe, format_error
from nbtune.errors import ExperimentError, Problem, SpecError
from nbtune.passwords import without_passwords, without_variables
from nbtune.spec.options.readers import variables


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot reach https://me:SECRET@host:80/a", "cannot reach https://***@host:80/a"),
        ("'s3://KEY:SECRET@bucket?region=x', and ray://:SECRET@h", "'s3://***@bucket?region=x', and ray://***@h"),
        ("postgresql+psycopg://u:SECRET%2F1@h/d", "postgresql+psycopg://***@h/d"),
        ("s3://b?secret_key=SECRET&scheme=http", "s3://b?secret_key=***&scheme=http"),
        ("https://h/a?x=1&access_token=SECRET#top", "https://h/a?x=1&access_token=***#top"),
        ("abfs://container@account/p", "abfs://container@account/p"),
        ("http://127.0.0.1:80/x@y, mail me: a@b", "http://127.0.0.1:80/x@y, mail me: a@b"),
        ("key=value", "key=value"),
        ("", ""),
    ],
)
def test_urls_are_shown_without_passwords(text, expected):
    assert without_passwords(text) == expected


URL = "https://me:SECRET@host/data"


@pytest.mark.parametrize("error", [ExperimentError(f"no {URL}"), SpecError([Problem(f"no {URL}", option="storage")])])
def test_messages_have_none(error):
    assert str(error).endswith("no https://***@host/data")
    assert "SECRET" not in "".join(error._render_traceback_())


def test_errors_of_trials_have_none():
    try:
        raise OSError(f"no {URL}")
    except OSError as error:
        failure = format_error(error, {})
        described = describe(RuntimeError(f"no {URL}"))
    assert failure.summary == "OSError: no https://***@host/data"
    assert "SECRET" not in failure.text + described["error"] + described["traceback"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%%tune a --env A=S1,B=S2=x --metric m", "%%tune a --env A=***,B=*** --metric m"),
        ("%%tune --env=A=S1 --worker-env B=S2", "%%tune --env=A=*** --worker-env B=***"),
        ("%%tune --env 'A=S1 S2,B=S3'", "%%tune --env 'A=***,B=***'"),
        ("%%tune --env \"A=S1,S2\" --env {'A': 'S3'}", "%%tune --env \"A=***,***\" --env '***'"),
        ("%%tune a \\\n --env A=S1 \\\n --mode min", "%%tune a \\\n --env A=*** \\\n --mode min"),
        ("%%tune --env variables --environment x", "%%tune --env variables --environment x"),
    ],
)
def test_a_stored_cell_has_no_values_of_environment_variables(line, expected):
    body = "x: uniform(0, 1)\n# --env A=shown\nreport(a=x)"
    assert without_variables(f"{line}\n{body}") == f"{expected}\n{body}"
    assert without_variables(body) == body


def test_a_stored_cell_that_is_executed_again_says_what_is_missing():
    with pytest.raises(ValueError, match="the value of B was not stored with the cell: write it again"):
        variables("A=1,B=***")


def test_only_variables_that_are_read_at_the_start_of_a_process_are_set_there():
    given = {"OMP_NUM_THREADS": "1", "NCCL_DEBUG": "INFO", "HF_TOKEN": "SECRET", "WANDB_API_KEY": "SECRET"}
    assert set_at_start(given) == {"OMP_NUM_THREADS": "1", "NCCL_DEBUG": "INFO"}
