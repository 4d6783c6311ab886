"""nbtune.spec.options.line: from the magic line to options."""

import pytest
import ray.data

from nbtune.spec.options.line import parse_line

DATA = object.__new__(ray.data.Dataset)  # a whole one needs a Ray
DATA._current_executor = None
NOTEBOOK = {"budget": 90, "asha": "a variable called asha", "my_search": object(), "space": {"lr": 1}, "max": 3}


def problems(line):
    return [p.render("line") for p in parse_line(line, NOTEBOOK).problems]


def test_a_name_and_options_in_any_order():
    parsed = parse_line("--metric accuracy digits --samples 20", {})
    assert parsed.options == {"metric": "accuracy", "name": "digits", "samples": "20"}
    assert parsed.problems == []
    assert parsed.space is None
    assert parsed.dry_run is False


def test_an_empty_line_is_valid():
    assert parse_line("", {}).options == {}


def test_equals_signs_dashes_and_underscores_are_accepted():
    parsed = parse_line("--max-concurrent=4 --max_failures=-1 --time-budget 1h --keep_checkpoints 2", {})
    assert parsed.options == {"max_concurrent": "4", "max_failures": "-1", "time_budget": "1h", "keep_checkpoints": "2"}


def test_a_negative_number_is_a_value_not_an_option():
    assert parse_line("--max-failures -1", {}).options == {"max_failures": "-1"}


def test_a_value_may_contain_equals_signs():
    assert parse_line("--stop accuracy=0.98", {}).options == {"stop": "accuracy=0.98"}
    assert parse_line("--stop=accuracy=0.98", {}).options == {"stop": "accuracy=0.98"}


def test_quotes_group_words():
    assert parse_line("--storage '/data/my sweeps' --metric \"val acc\"", {}).options == {
        "storage": "/data/my sweeps",
        "metric": "val acc",
    }


def test_an_open_quote_is_a_problem_not_an_exception():
    (message,) = problems("--storage '/data")
    assert message == """cannot read the line "--storage '/data": the quote ' at position 11 is not closed"""


def test_a_variable_name_is_replaced_by_its_value():
    parsed = parse_line("--time-budget budget --search my_search", NOTEBOOK)
    assert parsed.options == {"time_budget": 90, "search": NOTEBOOK["my_search"]}


def test_data_sets_are_variables_and_have_names():
    notebook = {"rows": DATA, "held": DATA, "both": {"train": DATA}, "x": 3}

    def datasets(line):
        parsed = parse_line(line, notebook)
        return parsed.options.get("datasets"), [problem.render("line") for problem in parsed.problems]

    assert datasets("--dataset train=rows") == ({"train": DATA}, [])
    assert datasets("--dataset train=rows --dataset=valid=held") == ({"train": DATA, "valid": DATA}, [])
    assert datasets("--dataset train=rows,valid=held") == ({"train": DATA, "valid": DATA}, [])
    assert datasets("--dataset rows") == ({"rows": DATA}, []), "its own name"
    assert datasets("--dataset both --dataset held") == ({"train": DATA, "held": DATA}, [])
    assert datasets("--dataset train=nowhere")[1] == ["--dataset: expected the name of a variable, got 'nowhere'"]
    assert "did you mean 'rows'?" in datasets("--dataset train=row")[1][0]
    for line in ("--dataset rows --dataset rows", "--dataset a=rows --dataset a=held", "--dataset a=rows,a=held"):
        assert datasets(line)[1] == ["--dataset: given more than once"]
    assert datasets("--dataset x") == (3, []), "the option says what it expects"
    assert datasets("--dataset train=x") == ({"train": 3}, [])


def test_short_names_and_literal_options_take_precedence_over_variables():
    parsed = parse_line("--scheduler asha --mode max", NOTEBOOK)
    assert parsed.options == {"scheduler": "asha", "mode": "max"}


def test_a_name_is_never_read_from_a_variable():
    assert parse_line("budget", NOTEBOOK).options == {"name": "budget"}
    assert parse_line("--metric budget", NOTEBOOK).options == {"metric": "budget"}


def test_the_space_option_takes_a_variable():
    parsed = parse_line("--space space", NOTEBOOK)
    assert parsed.space is NOTEBOOK["space"]
    assert "space" not in parsed.options


def test_an_undefined_variable_for_the_space_option_is_a_problem():
    assert problems("--space spaec") == [
        "--space: expected the name of a variable, got 'spaec' (did you mean 'space'?)"
    ]


def test_the_scaling_option_takes_a_variable():
    notebook = {"scaling": object()}
    assert parse_line("--scaling scaling", notebook).options["scaling"] is notebook["scaling"]
    assert parse_line("--scaling scalign", notebook).problems[0].render("line") == (
        "--scaling: expected the name of a variable, got 'scalign' (did you mean 'scaling'?)"
    )


def test_switches_take_no_value():
    assert parse_line("--wait", {}).options == {"wait": True}
    assert parse_line("--no-wait digits", {}).options == {"wait": False, "name": "digits"}
    assert parse_line("--dry-run", {}).dry_run is True
    assert problems("--dry-run=yes") == ["--dry-run takes no value, got 'yes'"]


@pytest.mark.parametrize("line", ["--samples", "--samples --metric loss", "--space"])
def test_a_missing_value_is_a_problem(line):
    assert any("expected a value, got none" in message for message in problems(line))


def test_an_empty_value_can_be_given_after_an_equals_sign():
    assert parse_line("--storage=", {}).options == {"storage": ""}


def test_the_value_of_an_unknown_option_is_skipped():
    parsed = parse_line("--smaples 20 --metric loss", {})
    assert [p.message for p in parsed.problems] == [
        "unknown option --smaples (did you mean '--samples'?); %%tune? lists all options"
    ]
    assert parsed.options == {"metric": "loss"}


def test_an_unknown_switch_gets_a_suggestion():
    assert "did you mean '--dry-run'?" in problems("--dryrun")[0]


@pytest.mark.parametrize("line", ["--samples 2 --samples 3", "--samples=2 --samples=3"])
def test_an_option_given_twice_is_a_problem(line):
    assert problems(line) == ["--samples: given more than once"]


def test_the_space_option_given_twice_is_a_problem():
    assert problems("--space space --space space") == ["--space: given more than once"]


def test_two_names_are_a_problem():
    (message,) = problems("one two")
    assert "unexpected 'two': the name is already 'one'" in message


def test_a_name_and_the_name_option_are_a_problem():
    assert len(problems("one --name two")) == 1


def test_all_problems_are_reported():
    assert len(problems("one two --foo --samples")) == 3
