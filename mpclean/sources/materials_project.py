"""The live source: the Materials Project as it is served today.

Everything is fetched into a snapshot (`mpclean.sources.mp_snapshot`) in the cache, and the
build reads the snapshot: live and offline builds are the same. Summary documents bring
crystals and most labels. Their energies prefer the hull that mixes GGA, GGA+U and r2SCAN, so
energies come from thermo documents of one hull, with `run_type` and `is_hubbard` of the
calculation that each energy is of. Deprecated materials are asked for by id only, for the
ledger.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from mpclean.errors import UserError, closest
from mpclean.release.hashing import file_sha256
from mpclean.sources.base import Source
from mpclean.sources.downloads import cache_folder, fetch
from mpclean.sources.mp_snapshot import (
    FACTS,
    Document,
    open_snapshot,
    page_path,
    read_facts,
    read_page,
    snapshot_source,
    write_facts,
    write_page,
)
from mpclean.splits import read_split
from mpclean.vocabulary.functionals import HULLS

if TYPE_CHECKING:
    from mpclean.sources.mp_client import Client
    from mpclean.sources.versions import Version

#: Kinds of pages of summary documents, in the order in which they are read.
_KINDS = ("summary", "deprecated")

_RUN_TYPES = ("GGA", "GGA+U", "SCAN", "R2SCAN", "r2SCAN")

#: The fields that are asked for, by the kind of page.
FIELDS = {
    "summary": (
        *("material_id", "structure", "band_gap", "efermi", "total_magnetization", "symmetry.number"),
        *("deprecated", "builder_meta.database_version", "builder_meta.license"),
    ),
    "thermo": (
        *("material_id", "energy_type", "formation_energy_per_atom", "energy_above_hull"),
        *(f"entries.{run_type}.parameters" for run_type in _RUN_TYPES),
    ),
    "deprecated": (*("material_id", "deprecated", "builder_meta.database_version", "builder_meta.license"),),
}

#: Folder of the table of the bulk download, within a snapshot, until its pages are written.
_TABLE = "table"


def open_materials_project(
    version: Version, hull: str = "pbe", drift: bool = False, bulk: bool = False, limit: int | None = None
) -> Source:
    """Open the Materials Project as it is served now, fetched into the cache.

    Parameters
    ----------
    version
        The version asked for.
    hull
        One of `mpclean.vocabulary.functionals.HULLS`: what energies are relative to.
    drift
        Fetch the published ids of the version asked for, from whichever is served.
    bulk
        Download the table of the whole collection instead of its pages: all fields of every
        record, from where it costs the Materials Project least.
    limit
        Fetch no more pages than hold this many records.

    Raises
    ------
    UserError
        If the server serves another version, does not answer as it should, or goes over to
        another version meanwhile. What was fetched stays.
    """
    from mpclean.sources.mp_client import PAGE_SIZE, Client

    if hull not in HULLS:
        raise UserError(closest("hull", hull, HULLS))
    ids = None
    if drift and version.lists is not None:
        listed = read_split(fetch(str(version.name), version.lists, "build without --version"))
        ids = listed["material_id"].to_pylist()
        if bulk:
            raise UserError("--bulk downloads the whole database, not the ids of a list: leave it out")
    client = Client()
    served = client.database_version()
    if not drift:
        version.require(served)
    asked = {
        "database_version": served,
        "endpoint": client.endpoint,
        "hull": HULLS[hull],
        "fields": FIELDS,
        "page_size": PAGE_SIZE,
        "bulk": bulk,
        "listed": None if ids is None else len(ids),
        "listed_sha256": None if ids is None else hashlib.sha256("\n".join(ids).encode()).hexdigest(),
    }
    # What was asked names the folder, so that pages of different questions never meet.
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    folder = cache_folder() / "materials-project" / f"{served}-{digest[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    download = _Download(client, folder, asked, ids)
    facts = download.begin()
    if limit is None and "sha256" in facts:
        return open_snapshot(folder)
    pages = download.fetch(facts["records"], limit)
    if limit is None:
        facts["sha256"] = {name: file_sha256(page_path(folder, name)) for name in pages}
        write_facts(folder, facts)
    return snapshot_source(folder, facts, pages)


class _Download:
    """A snapshot that is being fetched.

    Parameters
    ----------
    client
        Who is asked.
    folder
        The snapshot.
    asked
        What is asked for, as the facts of the snapshot state it.
    ids
        The materials to ask for; None for all.
    """

    def __init__(self, client: Client, folder: Path, asked: dict[str, Any], ids: list[str] | None) -> None:
        self._client = client
        self._folder = folder
        self._asked = asked
        # The server takes an id for its number: asked for mvc-12 it answers with mp-12.
        self._ids = None if ids is None else [text for text in ids if text.startswith("mp-")]

    def begin(self) -> dict[str, Any]:
        """Return the facts of the snapshot, with how many records there are of each kind."""
        if not (self._folder / FACTS).exists():
            write_facts(self._folder, self._asked | {"records": self._count()})
        return read_facts(self._folder)

    def _count(self) -> dict[str, int]:
        if self._ids is not None:
            return dict.fromkeys(_KINDS, len(self._ids))  # at most
        if self._asked["bulk"]:
            return self._write_table()
        return {kind: self._client.count(deprecated=kind == "deprecated") for kind in _KINDS}

    def fetch(self, records: dict[str, int], limit: int | None) -> list[str]:
        """Fetch the pages that are not there; the names of all, up to the limit."""
        names: list[str] = []
        read = 0
        total = limit or sum(records.values())
        into = f"fetching into {self._folder}"
        with tqdm(total=total, desc=into, unit=" records", disable=None) as bar:
            for kind in _KINDS:
                for number in range(math.ceil(records[kind] / self._asked["page_size"])):
                    if limit is not None and read >= limit:
                        return names
                    names.append(f"{kind}-{number:05d}")
                    documents = self._page(names[-1], partial(self._summary, kind, number, records[kind]))
                    if kind == "summary":
                        names.append(f"thermo-{number:05d}")
                        self._page(names[-1], partial(self._thermo, documents))
                    read += len(documents)
                    bar.update(len(documents))
        return names

    def _page(self, name: str, ask: Callable[[], list[Document]]) -> list[Document]:
        """Read the documents of a page, which is asked for only if it is not there."""
        if page_path(self._folder, name).exists():
            return read_page(self._folder, name)
        documents = ask()
        before, now = self._asked["database_version"], self._client.database_version()
        if now != before:
            raise UserError(
                f"{self._client.endpoint}: went over from version {before} to {now} during the download; "
                "run the command again: it starts anew"
            )
        write_page(self._folder, name, documents)
        return documents

    def _summary(self, kind: str, number: int, total: int) -> list[Document]:
        size = self._asked["page_size"]
        first = number * size
        deprecated = kind == "deprecated"
        if self._ids is not None:
            ids = self._ids[first : first + size]
            return self._client.summary(FIELDS[kind], material_ids=ids, deprecated=deprecated)
        documents = self._client.summary(
            FIELDS[kind], _page=number + 1, _sort_fields="material_id", deprecated=deprecated
        )
        expected = min(size, total - first)
        if len(documents) != expected:
            raise UserError(
                f"{self._client.endpoint}: page {number + 1} came with {len(documents)} of {expected} "
                "records; run the command again: it goes on where it stopped"
            )
        return documents

    def _thermo(self, summary: list[Document]) -> list[Document]:
        ids = [document["material_id"] for document in summary]
        return self._client.thermo(FIELDS["thermo"], ids, self._asked["hull"])

    def _write_table(self) -> dict[str, int]:
        """Download the table and write its pages; the number of records of each kind."""
        table = self._folder / _TABLE
        shutil.rmtree(table, ignore_errors=True)  # an interrupted download of it cannot go on
        table.mkdir()
        counts = dict.fromkeys(_KINDS, 0)
        pending: dict[str, list[Document]] = {kind: [] for kind in _KINDS}
        stated = set()
        size = self._asked["page_size"]

        def flush(kind: str) -> None:
            write_page(self._folder, f"{kind}-{counts[kind] // size:05d}", pending[kind])
            counts[kind] += len(pending[kind])
            pending[kind].clear()

        for batch in self._client.table(table, FIELDS["summary"]):
            for row in batch.to_pylist():
                stated.add(row["version"])
                if row["version"].replace("-", ".") != self._asked["database_version"]:
                    continue
                kind = "deprecated" if row["deprecated"] else "summary"
                pending[kind].append(_select(row, FIELDS[kind]))
                if len(pending[kind]) == size:
                    flush(kind)
        for kind in _KINDS:
            if pending[kind]:
                flush(kind)
        shutil.rmtree(table)
        if not counts["summary"]:
            raise UserError(
                f"{self._client.endpoint}: serves {self._asked['database_version']}, and the table is of "
                f"{', '.join(sorted(stated)) or 'no version'}: leave out --bulk"
            )
        return counts


def _select(document: Document, fields: Sequence[str]) -> Document:
    """Say what an answer would have of a document that was asked for with these fields."""
    selected: Document = {}
    for field in fields:
        outer, _, inner = field.partition(".")
        if not inner:
            selected[outer] = document[outer]
        elif document[outer] is not None:
            selected.setdefault(outer, {})[inner] = document[outer][inner]
    return selected
