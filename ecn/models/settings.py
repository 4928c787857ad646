"""Dataclasses of settings: what a value from a command line or a file may be, and what a field means."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Collection
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mpclean.errors import UserError, closest


def check(owner: str, kind: type, values: dict[str, Any], may_be_zero: Collection[str] = ()) -> None:
    """Refuse values that a dataclass of settings cannot have.

    Parameters
    ----------
    owner
        What the settings belong to, for messages.
    kind
        The dataclass.
    values
        By the names of its fields.
    may_be_zero
        The names of whole numbers that may be zero; others are counts of something.

    Raises
    ------
    UserError
        If a name is none of its fields, or a value is not of the field's type.
    """
    types = get_type_hints(kind)
    for name, value in values.items():
        if name not in types:
            raise UserError(f"{owner}: {closest('option', name, types)}")
        if not _is_one(value, types[name]):
            raise UserError(f"{owner}: {name} = {value!r} is not {in_words(types[name])}")
        is_count = int in (types[name], *get_args(types[name])) and value is not None
        if is_count and value < (least := int(name not in may_be_zero)):
            raise UserError(f"{owner}: {name} = {value!r} is less than {least}")


def _is_one(value: Any, kind: Any) -> bool:
    """Whether a value from a command line or from a file is of the type of a field."""
    origin = get_origin(kind)
    if origin is Literal:
        return value in get_args(kind)
    if origin is UnionType:
        return any(_is_one(value, part) for part in get_args(kind))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, origin or kind) and (kind is bool or not isinstance(value, bool))


def in_words(kind: Any) -> str:
    """Return a type as a user reads it."""
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    if get_origin(kind) is UnionType:
        return " or ".join("null" if part is NoneType else in_words(part) for part in get_args(kind))
    return f"of type {getattr(kind, '__name__', kind)}"


@cache
def meanings(kind: type) -> dict[str, str]:
    """Read the docstring under every field of a dataclass, those that it inherits included, on one line."""
    found = {}
    for base in reversed(kind.__mro__[:-1]):
        body = ast.parse(inspect.getsource(base).strip()).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                assert isinstance(text, ast.Expr)
                assert isinstance(text.value, ast.Constant)
                found[field.target.id] = " ".join(str(text.value.value).split())
    return found
