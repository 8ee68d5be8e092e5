"""The metrics that a PromQL expression uses, and the labels of its result."""

from collections.abc import Mapping
from typing import TypeAlias

import promql_parser as promql

Labels: TypeAlias = frozenset[str]
KnownSeries: TypeAlias = Mapping[str, Labels]

SELECTING = ("topk", "bottomk")


class UnknownSeries(Exception):
    """An expression uses a metric or label that does not exist, or joins unequal labels."""


def labels(expression: str, known: KnownSeries) -> Labels:
    """Return the labels of an expression's series, given those of every metric.

    Raises:
        UnknownSeries: The expression uses a metric or label that does not exist.
    """
    found = _of(promql.parse(expression), known)
    return frozenset() if found is None else found


def metrics(expression: str) -> set[str]:
    """Return the names of the metrics that an expression uses."""
    names: set[str] = set()

    def note(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            assert node.name, f"a selector without a name: {node}"
            names.add(node.name)
        if isinstance(node, promql.MatrixSelector):
            note(node.vector_selector)

    promql.walk(promql.parse(expression), note)
    return names


def _of(node: promql.Expr, known: KnownSeries) -> Labels | None:
    """Return the labels of a node, or None for numbers and strings."""
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
            raise UnknownSeries(f"unknown node {type(node).__name__}")
    return found


def _of_selector(node: promql.VectorSelector, known: KnownSeries) -> Labels:
    if node.name is None or node.name not in known:
        raise UnknownSeries(f"there is no metric {node.name}")
    _require({each.name for each in node.matchers.matchers}, known[node.name], str(node))
    return known[node.name]


def _of_aggregate(node: promql.AggregateExpr, known: KnownSeries) -> Labels:
    inner = _of(node.expr, known) or frozenset()
    if node.modifier is None:
        return inner if str(node.op) in SELECTING else frozenset()
    _require(node.modifier.labels, inner, node.prettify())
    if node.modifier.type == promql.AggModifierType.By:
        return frozenset(node.modifier.labels)
    return inner - set(node.modifier.labels)


def _of_binary(node: promql.BinaryExpr, known: KnownSeries) -> Labels | None:
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
        raise UnknownSeries(f"{sorted(left)} never matches {sorted(right)}: {node.prettify()}")
    return left


def _of_call(node: promql.Call, known: KnownSeries) -> Labels | None:
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


def _require(names: set[str] | list[str], labels: Labels, where: str) -> None:
    missing = set(names) - labels
    if missing:
        raise UnknownSeries(f"no {sorted(missing)} among {sorted(labels)}: {where}")
