"""nbtune.spec.forms.form: from rows of text to a cell and its space, or to problems at their fields."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.forms.form import Form
from nbtune.spec.forms.form_line import read_line, write_line
from nbtune.spec.forms.form_row import Row
from nbtune.spec.space.to_cell import space_to_cell

CELL = """%%tune digits --metric acc --mode max --samples 20 --scheduler asha --cpus 2 --stop "acc=0.9"
import math
# the learning rate
lr: loguniform(1e-4, 1e-1) = 1e-2  # log
hidden: choice([32, 64, 128]) = 64

momentum: uniform(0.8, 0.99) if optimizer == "sgd" else None = 0.9
x = 3  # between the declarations
optimizer: tune.choice(["sgd", "adam"])
model: {"hidden": choice([64, 128])} = {"hidden": 64}
width: quniform(0, lr, 0.1)
epochs: choice(
    [5,  # few
     10])
require(hidden * epochs <= 1024)

for i in range(3):
    report(acc=i)
"""


def form_of(text, **namespace):
    return Form.read(text, namespace)


def checked(*rows, line=None, **namespace):
    form = Form.read("", namespace, {})
    named = [replace(row, id=row.id or f"n{position}") for position, row in enumerate(rows)]
    return form.check(named, line or form.line)


def problems_of(*rows, **namespace):
    return {int(key[1:]): found for key, found in checked(*rows, **namespace).diagnostics.messages().items()}


def number_row(name="a", lower="0", upper="1", **more):
    return Row("number", name=name, lower=lower, upper=upper, **more)


# -- round trips ------------------------------------------------------------------------------


def test_an_unchanged_cell_keeps_its_text():
    form = form_of(CELL)
    found = form.check(form.layout.rows, form.line)
    assert found.text == CELL
    assert found.blocked_reason == ""
    assert found.space == parse_cell(CELL.partition("\n")[2], {})[0].space


def test_fields_have_the_text_of_the_cell():
    rows = {row.name: row for row in form_of(CELL).layout.rows}
    assert (rows["lr"].kind, rows["lr"].lower, rows["lr"].upper, rows["lr"].log) == ("number", "1e-4", "1e-1", True)
    assert rows["lr"].default == "1e-2"
    assert rows["hidden"].values == "32, 64, 128"
    assert (rows["momentum"].when, rows["momentum"].otherwise) == ('optimizer == "sgd"', "")
    assert rows["width"].step == "0.1"
    assert (rows["model/hidden"].values, rows["model/hidden"].default) == ("64, 128", "64")
    assert rows[""].expression == "hidden * epochs <= 1024"


def test_a_changed_row_is_rewritten_with_its_comments():
    form = form_of(CELL)
    rows = [replace(row, upper="1") if row.name == "lr" else row for row in form.layout.rows]
    text = form.check(rows, form.line).text
    assert text == CELL.replace("1e-1", "1")


def test_reordered_rows_keep_their_comments_and_code_keeps_its_place():
    form = form_of("# one\na: uniform(0, 1)\n# two\nb: uniform(0, 2)\n\nx = 1")
    text = form.check(form.layout.rows[::-1], form.line).text
    assert text == "%%tune\n# two\nb: uniform(0, 2)\n# one\na: uniform(0, 1)\n\nx = 1"


def test_adding_and_removing_rows_does_not_change_the_body():
    form = form_of("x = 1")
    assert form.check([number_row(id="n1")], form.line).text == "%%tune\na: uniform(0, 1)\n\nx = 1"
    form = form_of("a: uniform(0, 1)\nb: uniform(0, 1)\n\nx = 1")
    assert form.check(form.layout.rows[1:], form.line).text == "%%tune\nb: uniform(0, 1)\n\nx = 1"


NESTED = """model: {"hidden": choice([64, 128]), "deep": {"n": randint(1, 4) if act == "x" else 0}} = {
    "hidden": 64, "deep": {"n": 2}}  # kept
act: choice(["x", "y"])"""


def test_each_entry_of_a_dictionary_is_a_row():
    form = form_of(NESTED)
    assert [row.name for row in form.layout.rows] == ["model/hidden", "model/deep/n", "act"]
    assert [row.default for row in form.layout.rows] == ["64", "2", ""]
    assert form.check(form.layout.rows, form.line).text == f"%%tune\n{NESTED}"
    first, *rest = form.layout.rows
    found = form.check([*rest, number_row("model/x y", id="n1"), replace(first, default="128")], form.line)
    assert found.text == (
        '%%tune\nmodel: {"deep": {"n": randint(1, 4) if act == "x" else 0}, "x y": uniform(0, 1), "hidden": choice([64, 128])}'
        ' = {"deep": {"n": 2}, "hidden": 128}  # kept\nact: choice(["x", "y"])'
    )
    assert found.space.names == ("model/deep/n", "model/x y", "model/hidden", "act")


@pytest.mark.parametrize(
    "text",
    [
        "model: {**base, 'a': choice([1])}",
        "model: {1: choice([1])}",
        "model: {'a/b': choice([1])}",
        "model: {'a': choice([1])} = dict(a=1)",
        "model: {'a': choice([1])} = {'a': 1, 'b': 2}",
    ],
)
def test_a_dictionary_that_rows_cannot_represent_is_an_expression(text):
    form = form_of(text)
    assert [(row.name, row.kind) for row in form.layout.rows] == [("model", "expression")]
    assert form.layout.write(form.layout.rows).text == text


def test_statements_on_one_line_are_separate_rows():
    form = form_of("é: choice(['é']); b: uniform(0, 1); x = 1")
    assert form.check(form.layout.rows, form.line).text == "%%tune\né: choice(['é'])\nb: uniform(0, 1)\nx = 1"


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("uniform(lower=0, upper=1)", {"kind": "number", "lower": "0", "upper": "1"}),
        ("qloguniform(1, 10, 1)", {"kind": "number", "step": "1", "log": True}),
        ("randint(1, 9)", {"kind": "integer", "upper": "9", "step": ""}),
        ("qrandint(1, 9)", {"kind": "integer", "step": "1"}),
        ("randn()", {"kind": "normal", "mean": "", "sd": ""}),
        ("randn(sd=2)", {"kind": "normal", "mean": "", "sd": "2"}),
        ("qrandn(0, 1, 0.5)", {"kind": "normal", "step": "0.5"}),
        ("choice([1])", {"kind": "choice", "values": "1"}),
        ("choice([[1, 2]])", {"kind": "choice", "values": "[[1, 2]]"}),
        ("choice([(1, 2)])", {"kind": "choice", "values": "(1, 2)"}),
        ("choice((1, 2))", {"kind": "choice", "values": "*(1, 2)"}),
        ("choice(range(3))", {"kind": "choice", "values": "*range(3)"}),
        ("choice([i for i in range(3)])", {"kind": "choice", "values": "*[i for i in range(3)]"}),
        ("grid_search(values=[1, 2])", {"kind": "grid_search", "values": "1, 2"}),
        ("sample_from(lambda config: 1)", {"kind": "expression"}),
        ("uniform(*[0, 1])", {"kind": "expression"}),
        ("loguniform(1, 10, base=10)", {"kind": "expression"}),
        ("uniform(0, 1) if b == 1 else uniform(1, 2) if b == 2 else None", {"when": "b == 1"}),
        ("None if b == 1 else uniform(0, 1)", {"kind": "expression", "when": ""}),
    ],
)
def test_every_notation_of_a_domain_gives_the_same_space(call, fields):
    text = f"a: {call}\nb: choice([1, 2, 3])"
    form = form_of(text)
    row = form.layout.rows[0]
    assert {name: getattr(row, name) for name in fields} == fields
    # Written from the fields alone, without the text of the original cell.
    rewritten = checked(*(replace(one, id="") for one in form.layout.rows))
    before = parse_cell(text, {})[0].space
    if "lambda" not in call:
        assert rewritten.space == before
    assert [p.name for p in rewritten.space.parameters] == ["a", "b"]


NUMBERS = st.sampled_from(["-1.5", "0", "1e-3", "0.25", "7", "1_000", "2e3", "n", "n / 2"])
ATOMS = st.sampled_from(["1", "2.5", '"x, y"', "None", "(1, 2)", "[1]", "len", '{"a": 1}', "-3", "True", "n"])


@st.composite
def statements(draw, name, names):
    """A parameter's statement in one of the ways in which it may be written."""
    lower, upper = sorted([draw(st.integers(1, 500)), draw(st.integers(501, 999))])
    values = ", ".join(draw(st.lists(ATOMS, min_size=1, max_size=4)))
    domain = draw(
        st.sampled_from(
            [
                f"uniform({lower}e-3, {upper}e-1)",
                f"tune.loguniform({lower}e-3,{upper})",
                f"quniform(lower={lower}, upper={upper}, q=1)",
                f"randint({lower}, {upper})",
                f"qrandint({lower}, {upper})",
                f"lograndint({lower}, upper={upper})",
                f"randn(sd={upper})",
                f"choice([{values}])",
                f"choice(({values},))",
                f"grid_search([{values},])",
                "sample_from(len)",
                f"{{'x': choice([{values}]), 'y': {{'z': uniform(0, {upper})}}}}",
            ]
        )
    )
    others = [other for other in names if other != name]
    if others and not domain.startswith("{") and draw(st.booleans()):
        domain += (
            f' if {draw(st.sampled_from(others))} != "off" else {draw(st.sampled_from(["None", "0", "uniform(0, 1)"]))}'
        )
    default = draw(st.sampled_from(["", f" = {lower}", " = 'text'"])) if not domain.startswith("{") else ""
    comment = draw(st.sampled_from(["", "  # why, and (how"]))
    above = draw(st.sampled_from(["", "# above\n", "\n"]))
    return f"{above}{name}: {domain}{default}{comment}"


@st.composite
def cells(draw):
    names = draw(st.lists(st.sampled_from(["a", "b", "lr", "größe", "x_1"]), min_size=1, unique=True))
    # A parameter depends on earlier ones only, so that there are no cycles.
    lines = [draw(statements(name, names[:position])) for position, name in enumerate(names)]
    if draw(st.booleans()):
        lines.insert(draw(st.integers(0, len(lines))), f"require({names[0]} is not None)")
    if draw(st.booleans()):
        lines.insert(draw(st.integers(0, len(lines))), "code = 1  # the cell's own")
    return "\n".join([*lines, *draw(st.sampled_from([[], ["", "report(x=1)"], ["report(x=1)", ""]]))])


@settings(max_examples=150)
@given(cells())
def test_cell_to_space_to_form_to_cell(text):
    namespace = {"n": 40}
    before, problems = parse_cell(text, namespace)
    assert problems == []
    form = Form.read(text, namespace)
    assert form.check(form.layout.rows, form.line).text == f"%%tune\n{text}"

    # From the fields alone: the same space, and the same rows again.
    new_rows = [replace(row, id=f"n{position}") for position, row in enumerate(form.layout.rows)]
    found = Form.read("", namespace).check(new_rows, form.line)
    assert found.diagnostics.problems == {}
    assert found.space == before.space
    again = Form.read(found.text, namespace)
    assert [replace(row, id="") for row in again.layout.rows] == [replace(row, id="") for row in new_rows]

    # From the space: the rows of its cell.
    own = Form.read(space_to_cell(before.space), namespace)
    assert own.check(own.layout.rows, own.line).space == before.space


TYPED = st.one_of(
    st.sampled_from(
        ["", "1", "0", "-1", "1e-3", "abc", "a", "b", "b + 1", "a > b", "'x'", "None", "[1, 2]", "[]", "1, 2", "*a", "*[1]",
         "lambda: b", "a := 1", "x for x in b", "1)", "(", "#", "1 if b else 2", "uniform(0, 1)", "{'x': choice([b])}",
         "sample_from(lambda config: config['b'])", "float('nan')", "10 ** 400", "b.c", "...", "yield", "é", "\\", "\x00",
         "require(b)", "choice([1]) if b else None", "1; 2", "1 = 2", "'", '"""', "f'{b}'", "-", "1_0", "0x10", "1j", "True"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=6),
)  # fmt: skip
TYPED_ROWS = st.builds(
    Row.from_message,
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["number", "integer", "normal", "choice", "grid_search", "expression", "require"]),
         "name": st.sampled_from(["a", "b", "c", "", "1", "for", "report", "a/x", "a/y", "b/x/z", "/", "b/'"]),
         "log": st.booleans()},
        optional=dict.fromkeys(["lower", "upper", "step", "mean", "sd", "values", "expression", "when", "otherwise",
                                "default"], TYPED),
    ),
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(TYPED_ROWS, max_size=3), st.dictionaries(st.sampled_from(["name", "samples", "more", "search"]), TYPED))
def test_any_input_is_valid_or_has_problems(rows, line):
    found = checked(*rows, line={**read_line(""), **line})
    if not found.blocked_reason:
        # The written cell is read as the same rows and space.
        again = Form.read(found.text, {})
        read = again.check(again.layout.rows, again.line)
        assert read.text == found.text
        assert read.space == found.space or "lambda" in found.text  # two functions are never equal
        assert len(again.layout.rows) == len(rows)


# -- problems -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "field", "message"),
    [
        (number_row(name=""), "name", "expected a name"),
        (
            number_row(name="2nd"),
            "name",
            "expected a variable name (letters, digits and _; no digit first, not a Python keyword), got '2nd'",
        ),
        (number_row(name="learning rate"), "name", "got 'learning rate'"),
        (number_row(name="class"), "name", "not a Python keyword), got 'class'"),
        (number_row(name="report"), "name", "report is a name that nbtune defines in a trial"),
        (number_row(name="model/"), "name", "expected a name on each side of a /"),
        (number_row(name="uniform"), "name", "uniform is a name that nbtune defines in a trial"),
        (number_row(lower=""), "lower", "expected a number"),
        (number_row(lower="abc"), "lower", "abc is neither a number nor the name of a variable or parameter"),
        (number_row(lower="'0'"), "lower", "expected a finite number, got '0'"),
        (number_row(lower="1e-"), "lower", "1e- cannot be read: invalid decimal literal"),
        (number_row(lower="1 # one"), "lower", "cannot be read"),
        (number_row(lower="0, 1"), "lower", "0, 1 cannot be read: expected a single value"),
        (number_row(lower="0) + (1"), "lower", "expected a single value"),
        (number_row(lower="1 / 0"), "lower", "1 / 0 cannot be evaluated: ZeroDivisionError"),
        (number_row(upper="inf"), "upper", "inf is neither a number nor"),
        (number_row(upper="10 ** 400"), "upper", "expected a finite number, got 1"),
        (number_row(lower="2"), "lower", "must be less than upper (1), got 2"),
        (number_row(log=True), "lower", "must be > 0 in a log space, got 0"),
        (number_row(step="-1"), "step", "must be > 0, got -1"),
        (number_row(step="0.3"), "upper", "must be a multiple of step (0.3), got 1"),
        (number_row(default="foo"), "default", "no variable or parameter is named foo; text goes in quotes: 'foo'"),
        (Row("integer", name="a", lower="1.5", upper="3"), "lower", "expected an integer, got 1.5"),
        (Row("normal", name="a", sd="-1"), "sd", "must be > 0, got -1"),
        (Row("choice", name="a"), "values", "expected at least one value"),
        (Row("choice", name="a", values="[]"), "values", "expected at least one value, got none"),
        (
            Row("choice", name="a", values="sgd, adam"),
            "values",
            "no variable or parameter is named adam; text goes in quotes",
        ),
        (Row("choice", name="a", values="1,, 2"), "values", "1,, 2 cannot be read"),
        (Row("grid_search", name="a", values="*5"), "values", "cannot be evaluated: TypeError"),
        (Row("expression", name="a"), "expression", "expected an expression"),
        (Row("expression", name="a", expression="3"), "expression", "expected a space function, such as uniform(0, 1)"),
        (Row("expression", name="a", expression="uniform(1)"), "expression", "missing a required argument"),
        (number_row(when="optimzer == 1"), "when", "no variable or parameter is named optimzer"),
        (number_row(when="a > 1"), "when", "a cannot depend on itself"),
        (number_row(when="b =="), "when", "b == cannot be read"),
        (Row("require", expression="1 < 2"), "expression", "uses no parameter"),
        (Row("require", expression=""), "expression", "expected an expression"),
    ],
)
def test_problems_are_reported_at_their_field(row, field, message):
    problems = problems_of(row, number_row("b"))
    assert list(problems) == [0]
    assert message in problems[0][field]


def test_duplicate_names_are_a_problem():
    assert problems_of(number_row(), number_row(), number_row("b")) == {
        1: {"name": "a parameter named a already exists"}
    }
    assert problems_of(number_row("a/x"), number_row("a/y"), number_row("a"), number_row("a/x/y")) == {
        2: {"name": "a parameter named a already exists"},
        3: {"name": "a parameter named a/x/y already exists"},
    }


def test_a_cyclic_dependency_is_reported_at_its_field():
    found = problems_of(number_row("a", upper="b + 1"), number_row("b", upper="a + 1"))
    assert "a -> b -> a" in found[0]["lower"]


def test_a_misspelled_name_gets_a_suggestion():
    found = problems_of(Row("choice", name="optimizer", values="1"), number_row(when="optimzer == 1"))
    assert found[1]["when"].endswith("(did you mean 'optimizer'?)")


def test_fields_may_use_notebook_variables():
    found = checked(Row("choice", name="layer", values="Net, size"), number_row(upper="size"), Net=dict, size=7)
    assert found.blocked_reason == ""
    assert found.space["layer"].domain.values == [dict, 7]


def test_a_parameter_may_have_the_name_of_a_variable_that_it_uses():
    found = checked(number_row("batch", "batch", "2 * batch"), batch=8)
    assert found.space["batch"].domain.arguments == {"lower": 8, "upper": 16}


def test_brackets_around_values_are_optional():
    found = checked(Row("choice", name="a", values="[32, 64]"), Row("choice", name="b", values="[1, 2], [3, 4]"))
    assert [parameter.domain.values for parameter in found.space.parameters] == [[32, 64], [[1, 2], [3, 4]]]


def test_a_default_outside_the_domain_is_a_note_not_a_problem():
    found = checked(
        number_row(default="3"), Row("choice", name="b", values="1, 2", default="3"), number_row("c", default="1")
    )
    assert found.diagnostics.notes == {"n0": {"default": "outside 0 to 1"}, "n1": {"default": "none of the values"}}
    assert found.blocked_reason == ""


def test_blocked_reason():
    assert checked().blocked_reason == "add a parameter first"
    assert checked(number_row(name="")).blocked_reason == "fill in the empty fields first"
    assert checked(number_row(name="2")).blocked_reason == "correct the marked fields first"
    assert checked(number_row(), line=read_line("--samples none")).blocked_reason == "correct the marked fields first"


def test_problems_of_the_body_are_general():
    form = form_of("a: uniform(0, 1)\nb: unifrom(0, 1)")
    found = form.check(form.layout.rows, form.line)
    assert "unknown space function unifrom (did you mean 'uniform'?)" in found.general[0]


# -- the magic line ------------------------------------------------------------------------------


def test_the_magic_line_is_read_and_written():
    line = "digits --metric acc --mode=max --samples 20 --wait --cpus 2 --stop 'my var'"
    fields = read_line(line)
    assert fields == {
        "name": "digits",
        "metric": "acc",
        "mode": "max",
        "samples": "20",
        "search": "",
        "scheduler": "",
        "more": "--wait --cpus 2 --stop 'my var'",
    }
    assert write_line(fields) == ("%%tune digits --metric acc --mode max --samples 20 --wait --cpus 2 --stop 'my var'")
    assert read_line(write_line(fields).removeprefix("%%tune")) == fields


def test_comments_and_bracketed_values_of_the_magic_line_are_kept():
    line = "digits --samples 20 --resources {'my gpu': 1} --stop=acc=0.9 # not more"
    fields = read_line(line)
    assert fields["more"] == "--resources {'my gpu': 1} --stop=acc=0.9 # not more"
    assert write_line(fields) == f"%%tune {line}"


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"name": "my sweep"}, "name", "got 'my sweep'"),
        ({"samples": "many"}, "samples", "expected an integer >= 1, got 'many'"),
        ({"metric": ""}, "mode", "given without --metric"),
        ({"mode": ""}, "mode", "required with --metric: give --mode min or --mode max"),
        (
            {"search": "optuna", "metric": "", "mode": ""},
            "metric",
            "required by optuna, which compares trials; give it with --mode",
        ),
        ({"more": "--cpu 2"}, "more", "unknown option --cpu (did you mean '--cpus'?)"),
        ({"more": "--cpus lots"}, "more", "--cpus: expected a number >= 0, got 'lots'"),
        ({"more": "'open"}, "more", "cannot read the line"),
    ],
)
def test_problems_of_the_magic_line_are_reported_at_their_field(changes, field, message):
    line = {**read_line("digits --metric acc --mode max"), **changes}
    found = checked(number_row(), line=line)
    assert message in found.line_problems[field]


def test_the_default_body_reports_the_metric():
    assert "report(loss=epoch / 3)" in checked(number_row(), line=read_line("--metric loss --mode min")).text
    assert (
        "report(**{'val/loss': epoch / 3})"
        in checked(number_row(), line=read_line("--metric val/loss --mode min")).text
    )


def test_the_default_body_reports_every_objective():
    text = checked(number_row(), line=read_line("--metric acc,latency --mode max,min")).text
    assert "report(acc=epoch / 3, latency=epoch / 3)" in text
    assert text.startswith("%%tune --metric acc,latency --mode max,min\n")
    nested = checked(number_row(), line=read_line("--metric val/acc,latency --mode max,min")).text
    assert "report(**{'val/acc': epoch / 3, 'latency': epoch / 3})" in nested


def test_the_default_body_follows_the_constants():
    form = Form.read("a: uniform(0, 1)\nepochs = 10", {}, {})
    assert form.check(form.layout.rows, form.line).text.startswith(
        "%%tune\na: uniform(0, 1)\nepochs = 10\n\n# Put your"
    )
