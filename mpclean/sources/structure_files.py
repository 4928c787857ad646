"""Structure files without a table: CIF, POSCAR, RES, extended XYZ, JSON of pymatgen, one or a folder of them.

The name of a file is the id of its crystal: `salt.cif` is `salt`; in a folder of folders the way to it is
part of the id, `run-1/POSCAR`. A file of several crystals is a record for each, `salt:block` or `salt-2`.
Beside them `labels.jsonl` may lie, as ``mpclean export`` writes it: its lines are joined by ``material_id``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from mpclean.crystal.reading import is_structure_file, written_in
from mpclean.crystal.reading.files import ENDINGS as STRUCTURE_ENDINGS
from mpclean.crystal.reading.packed import PACKINGS
from mpclean.errors import UserError
from mpclean.sources.base import UNKNOWN, Identity, Source, batched_documents
from mpclean.sources.files import MAX_DOCUMENT, ending, files_sha256, has_files, open_file, walk
from mpclean.sources.records import ENDINGS as DOCUMENT_ENDINGS
from mpclean.sources.records import first_document

#: Labels of a folder that ``mpclean export --format cif`` or ``poscar`` wrote.
LABELS = "labels.jsonl"

# Frames of ASE, which state labels, and JSON, which may be documents, are for other kinds of source.
_OTHERS = (".xyz", ".extxyz", ".json")

_Document = tuple[str, bytes | None, str | None]


def is_structures(path: Path) -> bool:
    """Whether a path is a structure file, or a folder of them without documents of another kind."""
    if not path.is_dir():
        return path.is_file() and (_alone(path) or _is_json(path))
    documents = [file for file in walk(path) if ending(file, DOCUMENT_ENDINGS) and file.name != LABELS]
    return _is_json(documents[0]) if documents else any(map(_alone, walk(path)))


def _is_json(file: Path) -> bool:
    """Whether a file is a structure as pymatgen writes it to JSON, rather than documents that have one."""
    document = first_document(file) if file.is_file() and ending(file, (".json",)) else None
    return isinstance(document, dict) and {"lattice", "sites"} <= document.keys()


def _alone(file: Path) -> bool:
    """Whether a file is one that no other kind of source reads."""
    return is_structure_file(file) and not has_files(file, _OTHERS) and not file.name.startswith(".")


def structure_id(file: Path, root: Path) -> str:
    """Return the id of a crystal by the name of its file.

    Parameters
    ----------
    file
        The file.
    root
        The folder that is read.
    """
    name = file.relative_to(root).as_posix()
    for endings in (PACKINGS, STRUCTURE_ENDINGS):
        name = next((name[: -len(end)] for end in endings if name.lower().endswith(end)), name)
    return name


def structure_files(folder: Path, *, with_json: bool = False) -> dict[str, Path]:
    """Find the structure files of a folder by their ids, in the order of their names.

    Parameters
    ----------
    folder
        It is searched to any depth.
    with_json
        Whether JSON is one of them, which is a table as often.

    Raises
    ------
    UserError
        If two files have one id.
    """
    found: dict[str, Path] = {}
    for file in walk(folder):
        if is_structure_file(file) and file.is_file() and (with_json or not ending(file, (".json",))):
            if file.name.startswith("."):
                continue  # what an editor or an archive left behind
            other = found.setdefault(structure_id(file, folder), file)
            if other != file:
                raise UserError(
                    f"{file}: has the id {structure_id(file, folder)}, and so has {other}; rename one of them"
                )
    return found


def open_structures(path: Path) -> Source:
    """Open a structure file or a folder of them as a source.

    Parameters
    ----------
    path
        The file, or a folder, which is searched to any depth.

    Raises
    ------
    UserError
        If two files have one id, or the labels beside them are damaged.
    """
    files = (
        structure_files(path, with_json=True) if path.is_dir() else {structure_id(path, path.parent): path}
    )
    labels = path / LABELS
    beside = [labels] if labels.is_file() else []
    known = _labels(labels) if beside else {}
    return Source(
        identity=Identity(
            name="structures",
            database_version=None,
            sha256=files_sha256([*beside, *files.values()]),
            licence=UNKNOWN,
            citation=UNKNOWN,
        ),
        batches=lambda: batched_documents(
            document
            for material_id, file in files.items()
            for document in structure_documents(file.name, file, material_id, known.get(material_id, {}))
        ),
    )


def _labels(path: Path) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    with open_file(path) as lines:
        number = 0
        while line := lines.readline(MAX_DOCUMENT + 1):
            number += 1
            try:
                row = json.loads(line)
                rows[row["material_id"]] = row
            except (ValueError, TypeError, KeyError) as error:
                raise UserError(f"{path}, line {number}: no labels of a crystal ({error})") from error
    return rows


def structure_documents(
    place: str, file: Path, material_id: str, labels: dict[str, Any]
) -> Iterator[_Document]:
    """Yield the documents of a structure file: one, or one for each of its crystals.

    Parameters
    ----------
    place
        Where the record stands, for the ledger; empty where its reader knows.
    file
        The file.
    material_id
        The id of the first one; others have a suffix.
    labels
        What is known of the crystal; of several in one file nobody knows which it is of.
    """
    written = written_in(file)
    for one in written:
        document: dict[str, Any] = {"material_id": material_id + one.suffix, "structure": one.structure}
        where = ", ".join(filter(None, (place, one.place)))
        if one.problem is not None:
            yield (
                ": ".join(filter(None, (where, one.problem.detail))),
                orjson.dumps(document),
                one.problem.reason,
            )
            continue
        if len(written) == 1:
            document = {**labels, **document}
        elif labels:
            values = ", ".join(f"{name} {value}" for name, value in labels.items() if name != "material_id")
            many = f"its file has {len(written)} crystals"
            document["note"] = f"{values} of {material_id} not used: {many}"
        yield where, orjson.dumps(document), None
