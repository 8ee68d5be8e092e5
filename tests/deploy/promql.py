"""What an expression of PromQL asks for, and with which labels its answer comes."""

from collections.abc import Mapping
from typing import TypeAlias

import promql_parser as promql

Labels: TypeAlias = frozenset[str]
Known: TypeAlias = Mapping[str, Labels]

SET_OPERATORS = ("and", "or", "unless")
SELECTING = ("topk", "bottomk")


class WrongQuestion(Exception):
    """An expression asks for a metric or label that is not there, or joins what cannot be."""


def labels(expression: str, known: Known) -> Labels:
    """Return the labels of an expression's series, given those of every metric.

    Raises:
        WrongQuestion: it asks for what does not exist.
    """
    found = _of(promql.parse(expression), known)
    return frozenset() if found is None else found


def metrics(expression: str) -> set[str]:
    """Return the names of the metrics that an expression asks for."""
    names: set[str] = set()

    def note(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            assert node.name, f"a selector without a name: {node}"
            names.add(node.name)
        if isinstance(node, promql.MatrixSelector):
            note(node.vector_selector)

    promql.walk(promql.parse(expression), note)
    return names


def _of(node: promql.Expr, known: Known) -> Labels | None:
    """The labels of a node, none for numbers and strings."""
    found: Labels | None = None
    match node:
        case promql.VectorSelector():
            found = _of_selector(node, known)
        case promql.MatrixSelector():
            found = _of_selector(node.vector_selector, known)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            found = _of(node.expr, known)
        case promql.AggregateExpr():
            found = _of_aggregate(node, known)
        case promql.BinaryExpr():
            found = _of_binary(node, known)
        case promql.Call():
            found = _of_call(node, known)
        case promql.NumberLiteral() | promql.StringLiteral():
            pass
        case _:
            raise WrongQuestion(f"what is {type(node).__name__}?")
    return found


def _of_selector(node: promql.VectorSelector, known: Known) -> Labels:
    if node.name is None or node.name not in known:
        raise WrongQuestion(f"there is no metric {node.name}")
    _require({each.name for each in node.matchers.matchers}, known[node.name], str(node))
    return known[node.name]


def _of_aggregate(node: promql.AggregateExpr, known: Known) -> Labels:
    inner = _of(node.expr, known) or frozenset()
    if node.modifier is None:
        return inner if str(node.op) in SELECTING else frozenset()
    _require(node.modifier.labels, inner, node.prettify())
    if node.modifier.type == promql.AggModifierType.By:
        return frozenset(node.modifier.labels)
    return inner - set(node.modifier.labels)


def _of_binary(node: promql.BinaryExpr, known: Known) -> Labels | None:
    left, right = _of(node.lhs, known), _of(node.rhs, known)
    if left is None or right is None:
        return right if left is None else left
    if str(node.op) == "or":
        return left | right
    matching = node.modifier.matching if node.modifier else None
    if matching is None:
        compared = left, right
    elif matching.type == promql.LabelModifierType.Include:
        _require(matching.labels, left & right, node.prettify())
        compared = frozenset(), frozenset()
    else:
        _require(matching.labels, left | right, node.prettify())
        compared = left - set(matching.labels), right - set(matching.labels)
    if compared[0] != compared[1]:
        raise WrongQuestion(f"{sorted(left)} never matches {sorted(right)}: {node.prettify()}")
    return left


def _of_call(node: promql.Call, known: Known) -> Labels | None:
    arguments = [_of(each, known) for each in node.args]
    vectors = [each for each in arguments if each is not None]
    match node.func.name:
        case "label_replace":
            return vectors[0] | {node.args[1].val}
        case "histogram_quantile":
            _require({"le"}, vectors[0], node.prettify())
            return vectors[0] - {"le"}
        case "absent":
            return _equalities(node.args[0])
        case "vector":
            return frozenset()
        case "time":
            return None
    return vectors[0]


def _equalities(node: promql.Expr) -> Labels:
    assert isinstance(node, promql.VectorSelector)
    return frozenset(
        each.name for each in node.matchers.matchers if each.op == promql.MatchOp.Equal
    )


def _require(wanted: set[str] | list[str], there: Labels, where: str) -> None:
    missing = set(wanted) - there
    if missing:
        raise WrongQuestion(f"no {sorted(missing)} among {sorted(there)}: {where}")
