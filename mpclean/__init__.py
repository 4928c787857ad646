"""Clean, versioned, leak-checked data sets from the Materials Project."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpclean.crystal.bonding import bond_graph
    from mpclean.errors import UserError
    from mpclean.pipeline.run import build
    from mpclean.release import Release, open_release

__all__ = ["Release", "UserError", "bond_graph", "build", "open_release"]

_HOMES = {
    "Release": "mpclean.release",
    "UserError": "mpclean.errors",
    "bond_graph": "mpclean.crystal.bonding",
    "build": "mpclean.pipeline.run",
    "open_release": "mpclean.release",
}


def __getattr__(name: str) -> Any:
    # Imported when asked for: a release can be read without the libraries that build one.
    if name not in _HOMES:
        raise AttributeError(f"module 'mpclean' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
