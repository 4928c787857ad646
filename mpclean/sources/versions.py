"""Known upstream versions, read from `versions.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from mpclean.errors import UserError, closest
from mpclean.vocabulary.schema import COLUMNS

#: The rules of a build that names no version: the paper's, in the paper's order.
PAPER_RULES = ("record", "duplicate", "size", "dimensionality", "graph")


@dataclass(frozen=True)
class Files:
    """Published files, pinned.

    Attributes
    ----------
    repository, commit
        Where they were published, ``owner/name`` on github.com.
    url
        What their names are appended to.
    sha256
        Hash of the content of each file by its name.
    """

    repository: str
    commit: str
    url: str
    sha256: dict[str, str]


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
    licence, citation
        Of the records, for a source that states neither; None where only the source knows.
    lists
        Published lists of ids, one per split; None where there are none.
    data
        The records themselves, for a source that reads such files; None where they have no
        fixed place.
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
    licence: str | None = None
    citation: str | None = None
    lists: Files | None = None
    data: Files | None = None

    def require(self, stated: str) -> None:
        """Refuse a source that states another version.

        Raises
        ------
        UserError
            If it does; any will do where `database_versions` is empty.
        """
        plain = stated.removeprefix("v").replace("_", ".")
        if self.database_versions and plain not in self.database_versions:
            raise UserError(
                f"the source states version {stated}, not {self.name}: build it without --version (and with "
                f"--out DIR), give a snapshot of {self.name}, or take its published ids from the version "
                "served today with --source materials-project --allow-version-drift"
            )


#: A build of a source that is no known version.
UNNAMED = Version(name=None, title="no version claimed", release=None)


@cache
def known_versions() -> dict[str, Version]:
    """Every known version by name."""
    entries = tomllib.loads(files("mpclean.sources").joinpath("versions.toml").read_text("utf-8"))
    return {name: _version(name, entry) for name, entry in entries.items()}


def _version(name: str, entry: dict[str, Any]) -> Version:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    fields |= {k: Files(**entry[k]) for k in ("lists", "data") if k in entry}
    return Version(name=name, **fields)


def find_version(name: str | None) -> Version:
    """Find the version of a name; `UNNAMED` for None.

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
        raise UserError(
            f"{closest('version', name, known_versions())}. Any other snapshot builds without --version: "
            "mpclean build --source PATH --out DIR"
        ) from None


def version_rows(versions: Iterable[Version]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of versions: one line each."""
    head = ["version", "release", "sources", "what is published", "title"]
    rows = [
        [
            version.name or "",
            f"{version.release} {version.release_version}",
            ", ".join(version.sources),
            ", ".join(_published(version)),
            version.title,
        ]
        for version in versions
    ]
    return head, rows


def _published(version: Version) -> list[str]:
    """Say what others published of a version, in words."""
    known = {
        "counts": version.published.get("stages"),
        "statistics": version.published.get("statistics"),
        "lists": version.lists,
        "records": version.data,
    }
    return [word for word, value in known.items() if value]


def version_tables(version: Version) -> list[tuple[list[str], list[list[str]]]]:
    """Heads and rows of all that is known of a version; tables without rows are left out."""
    published = version.published
    facts = {
        "version": version.name or "",
        "title": version.title,
        "release": f"{version.release} {version.release_version}",
        "sources": ", ".join(version.sources),
        "may state": ", ".join(version.database_versions) or "anything",
        "rules": ", ".join(version.rules),
        "bonds": version.bonds,
        "published in": published.get("source", ""),
    }
    hashes = []
    for what, pinned in (("lists of ids", version.lists), ("records", version.data)):
        if pinned is not None:
            facts[what] = f"{pinned.repository}, commit {pinned.commit}"
            facts["from"] = pinned.url
            hashes += [[name, sha256] for name, sha256 in pinned.sha256.items()]
    counts = published.get("stages", {}) | published.get("splits", {})
    targets = published.get("statistics", {})
    tables = [
        (["what", "value"], [[k, v] for k, v in facts.items() if v]),
        (["published count", "records"], [[name, f"{count:,}"] for name, count in counts.items()]),
        (
            ["target", "unit", "published mean", "published deviation"],
            [
                [name, COLUMNS[name].unit, f"{mean:.2f}", f"{deviation:.2f}"]
                for name, (mean, deviation) in targets.items()
            ],
        ),
        (["file", "sha256"], hashes),
    ]
    return [table for table in tables if table[1]]
