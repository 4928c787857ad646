"""What a build will do, resolved from what a person asked for, before anything is read."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from mpclean.crystal.reading.packed import plain_name
from mpclean.errors import UserError
from mpclean.pipeline.labels import NO_LABELS, OwnLabels
from mpclean.pipeline.steps import Bonds
from mpclean.pipeline.wishes import OwnWishes
from mpclean.release.hashing import file_sha256
from mpclean.release.layout import is_release
from mpclean.rules import Rule
from mpclean.sources import Source, known_sources, open_source, recognise
from mpclean.sources.base import UNKNOWN
from mpclean.sources.downloads import fetch
from mpclean.sources.objects import open_objects
from mpclean.sources.perov5 import FILES as PEROV5_FILES
from mpclean.sources.versions import Version
from mpclean.splits import read_split

#: Longest edge of a graph of all neighbours within a radius, A (Perov-5).
RADIUS_CUTOFF = 5.0


@dataclass(frozen=True)
class Plan:
    """A build, resolved: what will be done, before anything is read.

    Attributes
    ----------
    version
        The version asked for.
    source
        Where records come from.
    origin
        What the user called the source: its path or its name.
    out
        Folder of the release.
    bonds
        How bonds are found.
    rules
        In the order in which they run, with their parameters.
    split
        ``random``, or a table of `mpclean.vocabulary.schema.SPLIT` with words for where it came from.
    drift
        Take records that state another version than the one asked for.
    limit
        Read this many records only; None for all.
    workers
        Who does the per-crystal work, as `mpclean.pipeline.executor.run` takes it.
    labels
        Labels of a person's own.
    """

    version: Version
    source: Source
    origin: str
    out: Path
    bonds: Bonds
    rules: tuple[Rule, ...]
    split: tuple[pa.Table, str] | None
    drift: bool
    limit: int | None
    workers: int | str
    labels: OwnLabels = NO_LABELS

    def facts(self) -> dict[str, Any]:
        """List what the work on crystals depends on; not what comes after it, nor who does it, nor where."""
        others = ("source", "origin", "out", "split", "workers", "labels")
        own = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in others}
        # A rule of another package is no part of our code, which `mpclean.pipeline.resume` looks at.
        code = [file_sha256(Path(inspect.getfile(type(rule)))) for rule in self.rules]
        return own | {
            "identity": self.source.identity,
            "parameters": dict(self.source.parameters),
            "code": code,
            "labels": self.labels.facts(),
        }


def make_plan(
    version: Version,
    source: str | Path | Iterable[Any] | None,
    out: str | Path | None,
    split: str | Path | None,
    rules: tuple[Rule, ...],
    min_area: float,
    workers: int | str,
    limit: int | None,
    drift: bool,
    options: dict[str, Any],
    own: OwnWishes,
) -> Plan:
    """Resolve what `mpclean.pipeline.run.build` was asked for; `options` are those of the source.

    Raises
    ------
    UserError
        If the wishes contradict one another, or the source cannot be opened.
    """
    if not 0.0 <= min_area < math.inf:
        raise UserError(f"--min-area {min_area}: an area in A^2, 0 or more, is needed")
    if out is None:
        if version.release is None:
            raise UserError("a build without --version needs --out DIR, which also names the release")
        out = Path("releases") / version.release
    if source is None and version.name is None:
        raise UserError("nothing to build: give --version of a known version, or --source of a snapshot")
    if source is None and version.sources[0] == "records":
        raise UserError(
            f"no public service is known to serve version {version.name}: give a snapshot of it with "
            "--source PATH; or fetch its published ids from the version served today with --source "
            "materials-project --allow-version-drift, which records the true version of every row and "
            "reports how many ids it has; or build another version (mpclean versions)"
        )
    if source is None or isinstance(source, str | Path):
        path, found = _open(version, source, Path(out), options, {"drift": drift, "limit": limit})
    else:
        path, found = None, open_objects(source)
    opened = own.stated_of(_claimed(found, version))
    return Plan(
        version=version,
        source=opened,
        origin=str(source) if isinstance(source, str | Path) else opened.identity.name,
        out=Path(out),
        bonds=Bonds(version.bonds, min_area, RADIUS_CUTOFF),
        rules=rules,
        split=_chosen_split(split, opened, version),
        drift=drift,
        limit=limit,
        workers=workers,
        labels=own.labels_of(opened, path),
    )


def _open(
    version: Version, source: str | Path | None, out: Path, options: dict[str, Any], asked: dict[str, Any]
) -> tuple[Path | None, Source]:
    """Open a source by its name or its path, which is returned with it; `asked` is for the live one."""
    path = None if source is None or str(source) in known_sources() else Path(source)
    if path is not None:
        _require_apart(path, out)
        if is_release(path):
            raise UserError(
                f"{path} is a release, and no source: build from the snapshot that it came from, or go on "
                "from it with mpclean split or mpclean export"
            )
        if path.is_file() and plain_name(path) in (f"{part}.csv" for part in PEROV5_FILES):
            raise UserError(
                f"{path}: looks like one of the three files of Perov-5; give their folder: mpclean build "
                f"--version perov-5 --source {path.parent}"
            )
        name = recognise(path)
        if name == "perov-5" and version.name is None:
            print(
                f"{path}: these are the files of Perov-5; --version perov-5 builds it as published",
                file=sys.stderr,
            )
        if version.name is not None and name not in version.sources:
            name = version.sources[0]  # which says what it misses in the path
    else:
        name = str(source or version.sources[0])
        if version.name is not None and name not in version.sources:
            raise UserError(
                f"version {version.name} is not served by the source {name}: {', '.join(version.sources)}"
            )
    if name == "materials-project" and path is None:
        options = options | {"version": version, **asked}
    return path, open_source(name, path, **options)


def _claimed(source: Source, version: Version) -> Source:
    """Return the source with the provenance of the version that the person says it is."""
    if source.identity.licence != UNKNOWN or version.licence is None:
        return source
    identity = replace(source.identity, licence=version.licence, citation=version.citation or UNKNOWN)
    return replace(source, identity=identity)


def _chosen_split(split: str | Path | None, source: Source, version: Version) -> tuple[pa.Table, str] | None:
    if split is None:
        split = "random" if source.published_split is None and version.lists is None else "published"
    if str(split) == "random":
        return None
    if str(split) != "published":
        return read_split(Path(split)), "Lists of ids that were given to the build."
    if source.published_split is not None:
        return source.published_split, "The split that was published with the source."
    if version.lists is None:
        raise UserError(
            f"the source {source.identity.name} brings no published split; give lists with --split PATH"
        )
    lists = fetch(str(version.name), version.lists, "build with --split random or --split PATH")
    return (
        read_split(lists),
        f"The lists that {version.lists.repository} publishes at commit {version.lists.commit}.",
    )


def _require_apart(source: Path, out: Path) -> None:
    """Refuse a release that would replace its own source.

    A folder of records may hold the release: releases and hidden folders in it are not read as records
    (`mpclean.sources.files.walk`).
    """
    here, there = source.resolve(), out.resolve()
    if here == there or there in here.parents:
        raise UserError(
            f"the source {source} lies in {out}, which the release would replace; choose another --out"
        )
