"""Clean, versioned, leak-checked data sets from the Materials Project."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpclean.crystal.bonding import bond_graph
    from mpclean.errors import UserError
    from mpclean.inspection.audit import audit
    from mpclean.inspection.diff import diff
    from mpclean.inspection.explain import explain
    from mpclean.inspection.report import report
    from mpclean.pipeline.run import build
    from mpclean.release import Release, open_release
    from mpclean.release.export import export
    from mpclean.release.hub import pull, push
    from mpclean.release.reader import verify
    from mpclean.release.splitting import split

__all__ = [
    "Release",
    "UserError",
    "audit",
    "bond_graph",
    "build",
    "diff",
    "explain",
    "export",
    "open_release",
    "pull",
    "push",
    "report",
    "split",
    "verify",
]

_HOMES = {
    "Release": "mpclean.release",
    "UserError": "mpclean.errors",
    "bond_graph": "mpclean.crystal.bonding",
    "audit": "mpclean.inspection.audit",
    "build": "mpclean.pipeline.run",
    "diff": "mpclean.inspection.diff",
    "explain": "mpclean.inspection.explain",
    "report": "mpclean.inspection.report",
    "open_release": "mpclean.release",
    "export": "mpclean.release.export",
    "pull": "mpclean.release.hub",
    "push": "mpclean.release.hub",
    "split": "mpclean.release.splitting",
    "verify": "mpclean.release.reader",
}


def __getattr__(name: str) -> Any:
    # Imported when asked for: a release can be read without the libraries that build one.
    if name not in _HOMES:
        raise AttributeError(f"module 'mpclean' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
