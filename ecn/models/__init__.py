"""The models: one file each, one registry that other packages may add to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from ecn.models.settings import check, in_words
from mpclean.errors import UserError
from mpclean.vocabulary.registry import Registry

if TYPE_CHECKING:
    from ecn.models.base import CrystalModel

#: Our own models by name: module and class, imported when a model is made.
MODELS = {
    "ecn": "ecn.models.ecn:ECN",
    "e3ecn": "ecn.models.e3ecn:E3ECN",
    "prototype": "ecn.models.prototype:PrototypeECN",
    "cgcnn": "ecn.models.cgcnn:CGCNN",
    "megnet": "ecn.models.megnet:MEGNet",
    "schnet": "ecn.models.schnet:SchNet",
}


def _is_model(name: str, found: object) -> bool:
    from ecn.models.base import CrystalModel

    return isinstance(found, type) and issubclass(found, CrystalModel)


#: All models that can be named: ours, then those of installed packages.
REGISTRY: Registry[type[CrystalModel]] = Registry(
    "model", "ecn.models", MODELS, _is_model, "class derived from ecn.models.base.CrystalModel"
)


def resolve(name: str) -> type[CrystalModel]:
    """Find the class of a model.

    Parameters
    ----------
    name
        A name of `REGISTRY`, or ``package.module:Class`` of any package that can be imported.

    Raises
    ------
    UserError
        If there is no such model, it cannot be imported, or it is no `ecn.models.base.CrystalModel`.

    Examples
    --------
    >>> resolve("schnet").__name__
    'SchNet'
    """
    return REGISTRY.load(name, name) if ":" in name else REGISTRY.find(name)


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
