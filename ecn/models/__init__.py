"""The models: one file each, one registry."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ecn.errors import UserError

if TYPE_CHECKING:
    from ecn.models.base import CrystalModel


#: Name on the command line -> module and class; imported when a model is made.
MODELS = {"ecn": ("ecn.models.ecn", "ECN")}


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
    unknown = set(options) - {option.name for option in dataclasses.fields(model.Config)}
    if unknown:
        raise UserError(f"model {name!r} has no option {', '.join(sorted(unknown))}")
    try:
        return model(model.Config(**options))
    except ValueError as error:
        raise UserError(str(error)) from error
