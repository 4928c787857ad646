"""The models: one file each, one registry."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from ecn.models.settings import check, in_words
from mpclean.errors import UserError

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
    check_options(name, options)
    model = _model(name)
    try:
        return model(model.Config(**options))
    except ValueError as error:
        raise UserError(f"model {name!r}: {error}") from error


def check_options(name: str, options: dict[str, Any]) -> None:
    """Refuse options that a model does not have; see `build`."""
    if name not in MODELS:
        raise UserError(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    check(f"model {name!r}", _model(name).Config, options)


def options(name: str) -> list[str]:
    """The names of the options of a model."""
    return list(get_type_hints(_model(name).Config))


def _model(name: str) -> Any:
    module, attribute = MODELS[name]
    return getattr(import_module(module), attribute)


def describe(name: str) -> str:
    """A model in words: the first line of its docstring, and every option with its default.

    Parameters
    ----------
    name
        One of `MODELS`.
    """
    model = _model(name)
    lines = [f"{name}: {(model.__doc__ or '').splitlines()[0]}"]
    for option, kind in get_type_hints(model.Config).items():
        default = model.Config.__dataclass_fields__[option].default
        lines.append(f"  {option} = {default}" + (f"  ({in_words(kind)})" if get_args(kind) else ""))
    return "\n".join(lines)
