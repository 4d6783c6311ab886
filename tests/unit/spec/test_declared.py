"""nbtune.spec.cell.declared: dependent and nested parameters, and constraints."""

import pytest

from nbtune.spec.cell.parse import parse_cell
from nbtune.spec.space.domain import MISSING, Conditional, Domain, resolve
from nbtune.spec.space.expression import Expression, safe_expression
from nbtune.spec.space.space import Space


def declared(text, **namespace):
    cell, problems = parse_cell(text, namespace)
    assert problems == []
    return cell.space


def problems_of(text, **namespace):
    _, problems = parse_cell(text, namespace)
    return [(problem.line, problem.render(line=False)) for problem in problems]


OPTIMIZER = 'optimizer: choice(["sgd", "adam"]) = "sgd"\n'


def test_a_condition_may_use_another_parameter():
    space = declared(OPTIMIZER + 'momentum: uniform(0.8, 0.99) if optimizer == "sgd" else None = 0.9')
    momentum = space["momentum"]
    assert isinstance(momentum.domain, Conditional)
    assert momentum.depends == {"optimizer"}
    assert momentum.default == 0.9
    assert resolve(momentum.domain, {"optimizer": "sgd"}) == Domain.call("uniform", 0.8, 0.99)
    assert resolve(momentum.domain, {"optimizer": "adam"}) is None


def test_conditions_can_be_nested():
    space = declared(
        "a: choice([1, 2, 3])\nb: (uniform(0, 1) if a == 1 else randint(1, 5)) if a < 3 else (0 if a > 9 else a * 2)"
    )
    found = [resolve(space["b"].domain, {"a": a}) for a in (1, 2, 3, 10)]
    assert found == [Domain.call("uniform", 0, 1), Domain.call("randint", 1, 5), 6, 0]
    again = declared(space.parameters[0].name + ": choice([1, 2, 3])\nb: " + repr(space["b"].domain))
    assert again == space


def test_a_condition_without_parameters_is_evaluated_at_once():
    assert declared("a: uniform(0, 1) if small else uniform(0, 9)", small=False)["a"].domain == Domain.call(
        "uniform", 0, 9
    )


def test_bounds_choices_and_defaults_may_use_another_parameter():
    space = declared("lr: loguniform(1e-4, 1e-1) = 1e-2\nw: uniform(0, lr * k) = lr / 10\nn: choice([lr, 2 * lr])", k=3)
    assert repr(space["w"].domain) == "uniform(0, lr * 3)", "plain values of the notebook are written out"
    assert resolve(space["w"].domain, {"lr": 0.5}) == Domain.call("uniform", 0, 1.5)
    assert resolve(space["n"].domain, {"lr": 0.5}).values == [0.5, 1.0]
    assert isinstance(space["w"].default, Expression)
    assert space["w"].domain.values is None
    assert space["w"].domain.problem() is None


def test_values_that_cannot_be_inlined_are_captured():
    space = declared("a: choice([1, 2])\nb: uniform(0, double(a))", double=lambda x: 2 * x)
    assert resolve(space["b"].domain, {"a": 2}).arguments["upper"] == 4


def test_a_parameter_shadows_a_variable_except_in_its_own_declaration():
    space = declared("batch: choice([batch, 2 * batch])\nn: randint(1, batch)", batch=8)
    assert space["batch"].domain.values == [8, 16]
    assert space["n"].depends == {"batch"}


def test_a_dictionary_declares_nested_parameters():
    space = declared(
        'model: {"hidden": choice([64, 128]), "block": {"act": choice(["relu", "gelu"]), "bias": True}} = '
        '{"hidden": 64, "block": {"act": "relu"}}\ndepth: randint(1, model["hidden"])'
    )
    assert space.names == ("model/hidden", "model/block/act", "model/block/bias", "depth")
    assert space["model/block/bias"].domain is True
    assert [space[name].default for name in space.names] == [64, "relu", MISSING, MISSING]
    assert space["depth"].depends == {"model"}
    assert [parameter.name for parameter in space.ordered][-1] == "depth"


def test_ordinary_annotations_declare_nothing():
    space = declared('a: choice([1])\nb: {"x": 3} = {}\nc: int if a else str = 4')
    assert space.names == ("a",)


def test_top_level_require_declares_a_constraint():
    space = declared(
        "a: randint(1, 9)\nb: randint(1, 9)\nrequire(a * b <= most)\nfor i in range(a): require(i)", most=20
    )
    (constraint,) = space.constraints
    assert str(constraint) == "require(a * b <= 20)"
    assert space.violated({"a": 4, "b": 5}) is None
    assert space.violated({"a": 5, "b": 5}) is constraint
    assert space.violated({"a": 5}) is None, "constraints over missing parameters are skipped"


def test_a_user_function_named_require_declares_no_constraint():
    cell, _ = parse_cell("a: choice([1])\nrequire(a)", {"require": print})
    assert cell.space.constraints == ()
    cell, _ = parse_cell("a: choice([1])\ndef require(x): pass\nrequire(a)", {})
    assert cell.space.constraints == ()


def test_an_extra_space_is_merged_and_its_parameters_can_be_used():
    beside = Space.from_dict({"a": 1, "b": Domain.call("uniform", 0, 1)})
    cell, problems = parse_cell("c: uniform(0, b)\nb: uniform(5, 6) = 5.5\nrequire(b < 0.5)", {}, extra_space=beside)
    assert problems == []
    assert cell.space["b"].domain == Domain.call("uniform", 0, 1)
    assert cell.space["b"].default == 5.5
    assert cell.space["c"].depends == {"b"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: uniform(0, b)\nb: uniform(0, a)", 2, "the parameters depend on one another, a -> b -> a"),
        ("a: uniform(0, a)", 2, "depend on one another, a -> a"),
        ("a: uniform(0, 1) if c == 1 else None", 2, "a: c == 1 cannot be evaluated: NameError: name 'c'"),
        ("b: choice([1])\na: uniform(0, 1) if b == c else None", 3, "a: b == c cannot be evaluated: name 'c'"),
        ("a: choice([1])\nn = 3\nb: uniform(0, n)", 4, "n is defined by the cell's code, which runs in a trial"),
        ("a: choice([1])\nb: uniform(a, 2, 3)", 3, "TypeError"),
        ("a: choice([1])\nb: uniform(*[0, a])", 3, "must be written out, without * and **"),
        ("a: choice([1])\nb: uniform('x', a)", 3, "b: uniform('x', a): lower: expected a finite number, got 'x'"),
        ("m: {'a': choice([])}", 2, "m/a: choice([]): categories: expected at least one value"),
        ("m: {'a': choice([1])} = 3", 2, "the default must be a dictionary, {name: value}, not 3"),
        ("m: {'a': choice([1])} = {'b': 3}", 2, "the default sets 'm/b'; the parameters are m/a"),
        ("m: {1: choice([1])}", 2, "must be non-empty strings without /"),
        ("a: choice([1])\nrequire(1 < 2)", 3, "uses no parameter"),
        ("a: choice([1])\nrequire(a, 2)", 3, "require takes one condition"),
        ("a: choice([1])\nrequire(a < n)\nn = 3", 3, "n is defined by the cell's code, which runs in a trial"),
        ("require: choice([1])", 2, "require: cannot be a parameter"),
    ],
)
def test_invalid_declarations_are_reported_with_their_line(text, line, words):
    ((found, message),) = problems_of(text)
    assert (found, words in message) == (line, True), message


def test_dependents_of_an_invalid_parameter_are_not_reported():
    found = problems_of("a: uniform(0, nowhere)\nb: uniform(0, a)\nrequire(a < b)")
    assert [line for line, _ in found] == [2]


def test_evaluated_arguments_are_validated():
    space = declared("a: uniform(0, 1)\nb: uniform(a, 0.5)")
    with pytest.raises(ValueError, match=r"lower: must be less than upper \(0.5\), got 0.7"):
        resolve(space["b"].domain, {"a": 0.7})
    space = declared("a: choice([0, 1])\nb: uniform(0, 1 / a)\nrequire(1 / a > 0)")
    with pytest.raises(ValueError, match=r"uniform\(0, 1 / a\) cannot be evaluated: ZeroDivisionError"):
        resolve(space["b"].domain, {"a": 0})
    with pytest.raises(ValueError, match=r"require\(1 / a > 0\) cannot be evaluated"):
        space.violated({"a": 0})


# -- expressions from files ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["a.__class__", "__import__('os')", "open('x')", "(lambda: 1)()", "[x for x in a]", "a.b", "f'{a}'", "a := 1",
     "eval('1')", "a()", "max.__self__", "1 +", "getattr(a, 'b')"],
)  # fmt: skip
def test_an_unsafe_expression_from_a_file_is_refused(text):
    with pytest.raises(Exception, match=r"not allowed in an expression from a file|invalid expression"):
        safe_expression(text, {"a"})


def test_a_safe_expression_from_a_file_is_evaluated():
    assert (
        safe_expression("max(a, 2) * log2(8) if a in (1, 2) and not a > 3 else {'x': [a]}['x'][0]", {"a"})({"a": 1})
        == 6
    )
    with pytest.raises(Exception, match="name 'b' is not defined, and no parameter has that name"):
        safe_expression("a + b", {"a"})
