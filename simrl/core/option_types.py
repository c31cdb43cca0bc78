"""Check the values of options against the types of a config's fields, in words for people."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, Union

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
_MANY = {int: "whole numbers", float: "numbers", bool: "true or false", str: "words"}


def check_types(kind: type, options: Mapping[str, Any], owner: str) -> None:
    """Raise ValueError if a value cannot be one of its field in the dataclass `kind`.

    Only numbers, words, lists and mappings are judged; a class judges what else it wants itself.
    """
    try:
        hints = typing.get_type_hints(kind)
    except NameError:  # a name that exists for type checkers alone
        return
    for name, value in options.items():
        hint = hints.get(name, Any)
        if not _fits(value, hint):
            raise ValueError(f"{owner}: {name} must be {_describe(hint)}, got {value!r}")


def _fits(value: Any, hint: Any) -> bool:
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inside)
    if hint is type(None):
        return value is None
    if hint in (int, float):
        number = Integral if hint is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    if hint is bool:
        return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")
    if hint is str:
        return isinstance(value, str)
    if origin is tuple:
        if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
            return False
        return all(_fits(item, inside[0]) for item in value) if inside else True
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    return True


def _describe(hint: Any) -> str:
    """Say in words what a value of a type is."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(one) for one in inside)
    if hint is type(None):
        return "none"
    if origin is tuple and inside:
        count = "" if inside[-1] is Ellipsis else f"{len(inside)} "
        return f"a list of {count}{_MANY.get(inside[0], 'values')}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping of names to values"
    return _WORDS.get(hint, str(hint))
