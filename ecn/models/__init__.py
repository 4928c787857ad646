"""The models: one file each, one registry."""

from __future__ import annotations

from importlib import import_module
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from ecn.errors import UserError

if TYPE_CHECKING:
    from ecn.models.base import CrystalModel


#: Name on the command line -> module and class; imported when a model is made.
MODELS = {
    "ecn": ("ecn.models.ecn", "ECN"),
    "e3ecn": ("ecn.models.e3ecn", "E3ECN"),
    "prototype": ("ecn.models.prototype", "PrototypeECN"),
    "cgcnn": ("ecn.models.cgcnn", "CGCNN"),
    "megnet": ("ecn.models.megnet", "MEGNet"),
    "schnet": ("ecn.models.schnet", "SchNet"),
}


def build(name: str, options: dict[str, Any]) -> CrystalModel:
    """Make a model with fresh weights.

    Parameters
    ----------
    name
        One of `MODELS`.
    options
        Fields of the model's ``Config``; those left out have their defaults.

    Raises
    ------
    UserError
        If the model or one of its options is unknown, or an option has no such value.
    """
    if name not in MODELS:
        raise UserError(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    module, attribute = MODELS[name]
    model = getattr(import_module(module), attribute)
    types = get_type_hints(model.Config)
    for option, value in options.items():
        if option not in types:
            raise UserError(f"model {name!r} has no option {option}; it has {', '.join(types)}")
        if not _is_one(value, types[option]):
            raise UserError(f"model {name!r}: {option} = {value!r} is not {_in_words(types[option])}")
        if types[option] is int and value < 1:  # counts of something, all of them
            raise UserError(f"model {name!r}: {option} = {value!r} is less than 1")
    try:
        return model(model.Config(**options))
    except ValueError as error:
        raise UserError(f"model {name!r}: {error}") from error


def describe(name: str) -> str:
    """A model in words: the first line of its docstring, and every option with its default.

    Parameters
    ----------
    name
        One of `MODELS`.
    """
    module, attribute = MODELS[name]
    model = getattr(import_module(module), attribute)
    lines = [f"{name}: {(model.__doc__ or '').splitlines()[0]}"]
    for option, kind in get_type_hints(model.Config).items():
        default = model.Config.__dataclass_fields__[option].default
        lines.append(f"  {option} = {default}" + (f"  ({_in_words(kind)})" if get_args(kind) else ""))
    return "\n".join(lines)


def _is_one(value: Any, kind: Any) -> bool:
    """Whether a value from a command line or from JSON is of the type of an option."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is UnionType:
        return any(_is_one(value, part) for part in get_args(kind))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _in_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    return f"of type {getattr(kind, '__name__', kind)}"
