"""Where records come from; each source yields documents and says who it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from mpclean.errors import UserError
from mpclean.sources.ase_files import is_ase, open_ase
from mpclean.sources.base import DOCUMENTS, Identity, Source
from mpclean.sources.cgcnn import is_cgcnn, open_cgcnn
from mpclean.sources.entries import is_entries, open_entries
from mpclean.sources.lemat import is_lemat, open_lemat
from mpclean.sources.mp_snapshot import is_snapshot, open_snapshot
from mpclean.sources.perov5 import is_perov5, open_perov5
from mpclean.sources.records import open_records
from mpclean.sources.structure_files import is_structures, open_structures
from mpclean.sources.structure_tables import is_structure_table, open_structure_table
from mpclean.vocabulary.checks import require
from mpclean.vocabulary.registry import Registry
from mpclean.vocabulary.schema import SPLIT


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    Attributes
    ----------
    open_path
        Opens it from a path, with the options of the build that it takes.
    recognises
        Whether a path is of this kind.
    open_name
        Opens it by its name alone; None where it needs a path.
    options, name_options
        Options of the build that it takes with a path, and by its name.
    """

    open_path: Callable[..., Source]
    recognises: Callable[[Path], bool]
    open_name: Callable[..., Source] | None = None
    options: tuple[str, ...] = ()
    name_options: tuple[str, ...] = ()


def _demo() -> Source:
    from mpclean.sources.demo import open_demo

    return open_demo()


def _no_demo(path: Path) -> Source:
    raise UserError(f"the source demo is embedded and takes no path; leave out --source {path}")


def _perov5() -> Source:
    from mpclean.sources.downloads import fetch
    from mpclean.sources.versions import find_version

    data = find_version("perov-5").data
    assert data is not None
    return open_perov5(fetch("perov-5", data, "give --source FOLDER with train, val and test.csv"))


def _materials_project(**options: Any) -> Source:
    from mpclean.sources.materials_project import open_materials_project

    return open_materials_project(**options)


#: Our own kinds of source by name; a path is of the first kind that recognises it.
SOURCES: dict[str, Kind] = {
    "demo": Kind(_no_demo, lambda path: False, open_name=_demo),
    "perov-5": Kind(open_perov5, is_perov5, open_name=_perov5),
    "materials-project": Kind(
        open_snapshot,
        is_snapshot,
        open_name=_materials_project,
        name_options=("hull", "bulk", "version", "drift", "limit"),
    ),
    "cgcnn": Kind(open_cgcnn, is_cgcnn),
    "structures": Kind(open_structures, is_structures),
    "table": Kind(open_structure_table, is_structure_table),
    "ase": Kind(open_ase, is_ase),
    "lemat": Kind(open_lemat, is_lemat, options=("functional",)),
    "entries": Kind(open_entries, is_entries, options=("functional",)),
    "records": Kind(open_records, lambda path: True),
}


#: All kinds by name: ours, then those of installed packages.
REGISTRY: Registry[Kind] = Registry(
    "source", "mpclean.sources", SOURCES, lambda name, found: isinstance(found, Kind), "mpclean.sources.Kind"
)


def known_sources() -> dict[str, Kind]:
    """List every kind of source by its name, in the order in which they are asked for a path.

    Ours come first, then those of installed packages, and last documents, which any path may be; a name of
    ours is ours.

    Raises
    ------
    UserError
        If what a package registered cannot be imported, or is no `Kind`.
    """
    kinds = {name: REGISTRY.find(name) for name in REGISTRY.names()}
    documents = kinds.pop("records")
    return {**kinds, "records": documents}


def recognise(path: Path) -> str:
    """Find the name of the kind of source that a path is."""
    return next(name for name, kind in known_sources().items() if kind.recognises(path))


def open_source(name: str, path: Path | None, **options: object) -> Source:
    """Open a source.

    Parameters
    ----------
    name
        One of `known_sources`.
    path
        Where it lies; None to open it by its name.
    options
        Options of the build; None for one that was not given.

    Raises
    ------
    UserError
        If it needs a path, does not take an option that was given, or cannot be opened.
    """
    kind = known_sources()[name]
    given = {option: value for option, value in options.items() if value is not None}
    for option in given.keys() - set(kind.name_options if path is None else kind.options):
        raise UserError(f"the source {path or name} takes no --{option}; leave it out")
    if path is not None:
        return _checked(kind.open_path(path, **given))
    if kind.open_name is None:
        raise UserError(f"the source {name} is known by its path; give --source PATH")
    return _checked(kind.open_name(**given))


def _checked(source: Source) -> Source:
    """Refuse batches and a published split of a source that are not what they should be."""
    origin = f"the source {source.identity.name}"
    if source.published_split is not None:
        require(source.published_split, SPLIT, f"{origin}, published split")

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in source.batches():
            require(batch, DOCUMENTS, origin)
            yield batch

    return replace(source, batches=batches)


__all__ = ["DOCUMENTS", "SOURCES", "Identity", "Kind", "Source", "known_sources", "open_source", "recognise"]
