"""The public names and the signatures of the client."""

import inspect
from typing import Any, get_type_hints

import oodguard.client
from oodguard.client import (
    AsyncClient,
    Client,
)

METHODS = ("healthy", "models", "predict", "predict_many", "predict_together", "ready")


def test_client_public_names_are_complete() -> None:
    """Everything that the methods take, return or raise can be imported from the package."""
    public = {name: getattr(oodguard.client, name) for name in oodguard.client.__all__}
    assert sorted(public) == oodguard.client.__all__
    for kind in (Client, AsyncClient):
        methods = {name for name in vars(kind) if not name.startswith("_")} - {"close", "aclose"}
        assert methods == set(METHODS)
    waiting = [Client, AsyncClient, *(each for each in public.values() if inspect.isclass(each))]
    seen: set[type] = set()
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        members = [member for name, member in vars(each).items() if not name.startswith("_")]
        functions = [m.fget if isinstance(m, property) else m for m in members]
        hints = [get_type_hints(f) for f in functions if inspect.isfunction(f)]
        if "__annotations__" in vars(each):
            hints.append({k: v for k, v in get_type_hints(each).items() if not k.startswith("_")})
        waiting += [part for hint in hints for part in named_in(hint)]
        waiting += [base for base in each.__mro__ if is_ours(base) and base.__name__[0] != "_"]
    assert {each.__name__ for each in seen} <= set(public)
    errors = {name for name, each in vars(oodguard.client.errors).items() if is_ours(each)}
    assert errors <= set(public)


def is_ours(each: object) -> bool:
    return inspect.isclass(each) and each.__module__.startswith("oodguard.")


def named_in(hints: dict[str, Any]) -> set[type]:
    """Return the classes of the package in type hints, at any depth."""
    found, waiting = set(), list(hints.values())
    while waiting:
        hint = waiting.pop()
        found |= {hint} if is_ours(hint) else set()
        arguments = getattr(hint, "__args__", ())
        waiting += [part for a in arguments for part in (a if isinstance(a, list) else [a])]
    return found


def test_client_signatures_are_the_same_for_both_kinds() -> None:
    for name in METHODS:
        one = inspect.signature(getattr(Client, name)).parameters
        other = inspect.signature(getattr(AsyncClient, name)).parameters
        assert [(p.name, p.default, p.kind) for p in one.values()] == [
            (p.name, p.default, p.kind) for p in other.values()
        ]
