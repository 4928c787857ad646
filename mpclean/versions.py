"""Known upstream versions, read from `versions.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from mpclean.errors import UserError

#: The rules of a build that names no version: the paper's, in the paper's order.
PAPER_RULES = ("record", "duplicate", "size", "dimensionality", "graph")


@dataclass(frozen=True)
class Version:
    """What is known of a version.

    Attributes
    ----------
    name
        As in ``--version``; None for a build that claims no version.
    title
        One line for people.
    release, release_version
        Name of the release folder and version of the release, ``x.y.z``.
    sources
        Names of `mpclean.sources.SOURCES` that can serve it.
    rules
        Names of `mpclean.rules.RULES`, in the order in which they run.
    bonds
        ``voronoi`` or ``radius``.
    database_versions
        What a source may state as its own version; empty if any will do.
    published
        Counts per stage and split, mean and deviation per target, and their source.
    """

    name: str | None
    title: str
    release: str | None
    release_version: str = "1.0.0"
    sources: tuple[str, ...] = ("records",)
    rules: tuple[str, ...] = PAPER_RULES
    bonds: str = "voronoi"
    database_versions: tuple[str, ...] = ()
    published: dict[str, Any] = field(default_factory=dict)


#: A build of a source that is no known version.
UNNAMED = Version(name=None, title="no version claimed", release=None)


@cache
def known_versions() -> dict[str, Version]:
    """Every known version by name."""
    entries = tomllib.loads(files("mpclean").joinpath("versions.toml").read_text("utf-8"))
    return {name: _version(name, entry) for name, entry in entries.items()}


def _version(name: str, entry: dict[str, Any]) -> Version:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return Version(name=name, **fields)


def find_version(name: str | None) -> Version:
    """The version of a name; `UNNAMED` for None.

    Raises
    ------
    UserError
        If the name is unknown.
    """
    if name is None:
        return UNNAMED
    try:
        return known_versions()[name]
    except KeyError:
        known = ", ".join(known_versions())
        raise UserError(
            f"unknown version {name!r}; known are {known}. Any other snapshot builds without --version: "
            "mpclean build --source PATH --out DIR"
        ) from None
