"""What was fetched from the Materials Project, as it came, in a folder that builds offline.

A page of documents is a file of JSON lines, written whole or not at all: an interrupted
download goes on with the pages that are missing. The pages of a snapshot::

    summary-00000.jsonl.gz     summary documents
    thermo-00000.jsonl.gz      thermo documents of the same materials, on the hull asked for
    deprecated-00000.jsonl.gz  ids of materials that are deprecated
    snapshot.json              what was asked of which database version, and what came
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from mpclean.errors import UserError
from mpclean.release.hashing import file_sha256
from mpclean.sources.base import Identity, Source, batched_documents
from mpclean.sources.files import open_file
from mpclean.vocabulary.ids import normalise_id

Document = dict[str, Any]

#: The file that makes a folder a snapshot.
FACTS = "snapshot.json"

_FORMAT = 1
_PAGE = re.compile("(summary|thermo|deprecated)-[0-9]+")
_WAY_OUT = "delete the folder and fetch it again with --source materials-project"


def is_snapshot(path: Path) -> bool:
    """Whether a path is a folder with a snapshot, whole or not."""
    return (path / FACTS).is_file()


def open_snapshot(folder: Path) -> Source:
    """Open a whole snapshot as a source.

    Parameters
    ----------
    folder
        Holds `FACTS` and the pages.

    Raises
    ------
    UserError
        If the download has not come to its end, or a page is missing or was changed.
    """
    facts = read_facts(folder)
    if "sha256" not in facts:
        raise UserError(
            f"{folder}: the download was interrupted; let mpclean build --source materials-project "
            "finish it first"
        )
    for name, sha256 in facts["sha256"].items():
        page = page_path(folder, name)
        if not page.is_file() or file_sha256(page) != sha256:
            raise UserError(f"{page}: the page is missing or was changed; {_WAY_OUT}")
    return snapshot_source(folder, facts, list(facts["sha256"]))


def snapshot_source(folder: Path, facts: dict[str, Any], pages: Sequence[str]) -> Source:
    """Open some pages of a snapshot as a source.

    Parameters
    ----------
    folder, facts
        The snapshot and the content of its `FACTS`.
    pages
        Names of the pages to read, in their order.
    """
    digests = "\n".join(file_sha256(page_path(folder, name)) for name in pages)
    return Source(
        identity=Identity(
            name="materials-project",
            database_version=facts["database_version"],
            sha256=hashlib.sha256(digests.encode()).hexdigest(),
            licence="CC-BY-4.0",
            citation="Jain et al., APL Materials 1, 011002 (2013), doi:10.1063/1.4812323",
        ),
        parameters={name: facts[name] for name in ("hull", "fields", "bulk", "listed")},
        batches=lambda: batched_documents(_documents(folder, facts["database_version"], pages)),
    )


def read_facts(folder: Path) -> dict[str, Any]:
    """Read the content of `FACTS`.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    path = folder / FACTS
    try:
        facts: dict[str, Any] = json.loads(path.read_bytes())
        if facts["format"] > _FORMAT:
            raise UserError(f"{path}: format {facts['format']} is newer than this program reads ({_FORMAT})")
        for name in facts.get("sha256", {}):
            if not _PAGE.fullmatch(name):
                raise ValueError(f"{name!r} is the name of no page")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {_WAY_OUT}") from error
    return facts


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Write `FACTS`."""
    text = json.dumps({"format": _FORMAT, **facts}, indent=2) + "\n"  # the order of pages counts
    _write(folder / FACTS, text.encode())


def page_path(folder: Path, name: str) -> Path:
    """Find the file of a page."""
    return folder / f"{name}.jsonl.gz"


def write_page(folder: Path, name: str, documents: Sequence[Document]) -> None:
    """Write a page."""
    lines = b"".join(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE) for document in documents)
    _write(page_path(folder, name), gzip.compress(lines, compresslevel=6, mtime=0))


def read_page(folder: Path, name: str) -> list[Document]:
    """Read the documents of a page.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    path = page_path(folder, name)
    try:
        with open_file(path) as lines:
            return [orjson.loads(line) for line in lines]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{path}: damaged ({error}); {_WAY_OUT}") from error


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or not there, whoever else writes it too."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _documents(
    folder: Path, database_version: str, pages: Sequence[str]
) -> Iterator[tuple[str, bytes, None]]:
    """Read the documents of pages; those of `thermo` become labels of the summary documents."""
    for name in pages:
        kind, number = name.split("-")
        if kind == "thermo":
            continue
        energies: dict[str, Document] = {}
        if kind == "summary":
            thermo = read_page(folder, f"thermo-{number}")
            energies = {normalise_id(document["material_id"]): _energies(document) for document in thermo}
        for line, document in enumerate(read_page(folder, name), start=1):
            known = energies.get(normalise_id(document["material_id"]), {})
            whole = {"database_version": database_version, **document, **known}
            yield f"{page_path(folder, name).name}, line {line}", orjson.dumps(whole), None


def _energies(thermo: Document) -> Document:
    """Labels in a thermo document, with how the calculation was done that its energy is of."""
    kind = thermo.get("energy_type")
    parameters = ((thermo.get("entries") or {}).get(kind) or {}).get("parameters") or {}
    return {
        "formation_energy_per_atom": thermo.get("formation_energy_per_atom"),
        "energy_above_hull": thermo.get("energy_above_hull"),
        "run_type": parameters.get("run_type") or kind,
        "is_hubbard": parameters.get("is_hubbard"),
    }
