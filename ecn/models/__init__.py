"""The models: one file each, one registry that other packages may add to."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from ecn.models.settings import check, in_words
from mpclean.errors import UserError

if TYPE_CHECKING:
    from ecn.models.base import CrystalModel

#: Entry points in which an installed package names its models, ``name = "package.module:Class"``.
ENTRY_POINTS = "ecn.models"

#: Our own models by name: module and class, imported when a model is made.
MODELS = {
    "ecn": "ecn.models.ecn:ECN",
    "e3ecn": "ecn.models.e3ecn:E3ECN",
    "prototype": "ecn.models.prototype:PrototypeECN",
    "cgcnn": "ecn.models.cgcnn:CGCNN",
    "megnet": "ecn.models.megnet:MEGNet",
    "schnet": "ecn.models.schnet:SchNet",
}


@cache
def known() -> dict[str, str]:
    """List the models that can be named: ours, and those of installed packages.

    Returns
    -------
    ``package.module:Class`` by name; a name of ours is ours.
    """
    return {**{point.name: point.value for point in entry_points(group=ENTRY_POINTS)}, **MODELS}


@cache
def resolve(name: str) -> type[CrystalModel]:
    """Find the class of a model.

    Parameters
    ----------
    name
        One of `known`, or ``package.module:Class`` of any package that can be imported.

    Raises
    ------
    UserError
        If there is no such model, it cannot be imported, or it is no `ecn.models.base.CrystalModel`.

    Examples
    --------
    >>> resolve("schnet").__name__
    'SchNet'
    """
    path = name if ":" in name else known().get(name)
    if path is None:
        near = difflib.get_close_matches(name, known(), 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(
            f"unknown model {name!r}; {hint}known: {', '.join(known())}, or one of your own as "
            "package.module:Class"
        )
    from ecn.models.base import CrystalModel

    module, _, attribute = path.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"model {name!r}: {path} cannot be imported ({error})") from error
    if not (isinstance(found, type) and issubclass(found, CrystalModel)):
        raise UserError(f"model {name!r}: {path} is not a class derived from ecn.models.base.CrystalModel")
    return found


def build(name: str, options: dict[str, Any]) -> CrystalModel:
    """Make a model with fresh weights.

    Parameters
    ----------
    name
        As `resolve` takes it.
    options
        Fields of the model's ``Config``; others have their defaults.

    Raises
    ------
    UserError
        If the model or one of its options is unknown, or an option has no such value.
    """
    check_options(name, options)
    model = resolve(name)
    try:
        return model(model.Config(**options))
    except ValueError as error:
        raise UserError(f"model {name!r}: {error}") from error


def check_options(name: str, options: dict[str, Any]) -> None:
    """Refuse options that a model does not have; see `build`."""
    check(f"model {name!r}", resolve(name).Config, options)


def options(name: str) -> list[str]:
    """List the names of the options of a model."""
    return list(get_type_hints(resolve(name).Config))


def describe(name: str) -> str:
    """Describe a model: the first line of its docstring, and every option with its default.

    Parameters
    ----------
    name
        As `resolve` takes it.
    """
    model: Any = resolve(name)
    lines = [f"{name}: {(model.__doc__ or '').splitlines()[0]}"]
    for option, kind in get_type_hints(model.Config).items():
        default = model.Config.__dataclass_fields__[option].default
        lines.append(f"  {option} = {default}" + (f"  ({in_words(kind)})" if get_args(kind) else ""))
    return "\n".join(lines)
