"""What ``ecn predict`` is given, structure files, snapshots and releases, and the table that it writes."""

from __future__ import annotations

import csv
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ecn.data.rows import open_release
from ecn.inference.predict import PREDICTIONS, Predictor
from ecn.inference.tables import predictions_table
from mpclean.crystal.reading import is_structure_file, read_file
from mpclean.errors import UserError
from mpclean.release.atomic import replaced_file
from mpclean.release.layout import MANIFEST
from mpclean.sources import open_source, recognise
from mpclean.sources.base import BATCH_SIZE, batched_documents
from mpclean.sources.files import walk
from mpclean.sources.records import first_document
from mpclean.sources.structure_files import is_structures, structure_documents, structure_id
from mpclean.vocabulary.text import spreadsheet

#: Predictions with the input that they are for, and the place of the crystal there, from 0.
ROWS = pa.schema([("file", pa.string()), ("index", pa.int64()), *PREDICTIONS])

#: Significant digits of a number in text; single precision has no more than seven.
_DIGITS = 6


def predict_input(
    predictor: Predictor,
    path: Path,
    part: str | None,
    workers: int,
) -> Iterator[pa.Table]:
    """Predict what is at a path, as a stream of tables of `ROWS`.

    Parameters
    ----------
    predictor
        The models.
    path
        The folder of a release; a folder of structure files, such as `mpclean export` writes; a snapshot that
        ``mpclean build --source`` recognises (Parquet, JSON lines, CSV of Perov-5, extended XYZ, ...); or a
        structure file (`mpclean.crystal.reading.read_file`).
    part
        Of a release: "train", "validation" or "test"; all rows where it is None.
    workers
        Processes for the crystals of a snapshot or a folder.

    Yields
    ------
    Tables of `ROWS`. Of a folder of structure files every row has its own file; one that cannot be read has
    a row that says why.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    if (path / MANIFEST).is_file():
        tables = predictor.predict_release(open_release(path), part)
    elif part is not None:
        raise UserError(f"{path}: not a release, so it has no part {part!r}; leave out --part")
    elif files := structure_files(path):
        yield from _predict_files(predictor, files, path if path.is_dir() else path.parent, workers)
        return
    elif _is_snapshot(path):
        source = open_source(recognise(path), path)
        batches = source.batches()
        first = list(islice(batches, 2))  # for a single one, processes would take longer to start
        tables = predictor.predict_documents(chain(first, batches), workers if len(first) > 1 else 1)
    else:
        entries = read_file(path)
        if all(entry.problem for entry in entries):
            raise UserError(f"{path}: {entries[0].problem}")
        crystals = [entry.problem or entry.crystal for entry in entries]
        tables = _unnamed(predictor.predict_crystals(crystals))
    start = 0
    for table in tables:
        number = start + _crystal_of_row(predictor, table)
        yield _rows(table, pa.array([str(path)] * len(table)), number)
        start = number[-1] + 1 if len(number) else start


def _crystal_of_row(predictor: Predictor, table: pa.Table) -> NDArray[np.int64]:
    """Return the number of the crystal, from 0, that each row is about, one of several targets or sites."""
    target = predictor.goal.tasks[0].name
    begins = pc.and_(pc.equal(table["target"], target), pc.equal(table["site"].fill_null(0), 0))
    return np.cumsum(begins.to_numpy().astype(np.int64)) - 1


def _rows(table: pa.Table, files: pa.Array, number: NDArray[np.int64]) -> pa.Table:
    return pa.table([files, pa.array(number), *table.columns], schema=ROWS)


def structure_files(path: Path) -> list[Path]:
    """List the structure files that a path is or holds at any depth; none for another kind of source.

    JSON files count where they are all that there is, for they are as often tables beside the structures.
    """
    if not path.is_dir():
        return [path] if is_structures(path) else []
    here = [file for file in walk(path) if is_structure_file(file) and file.is_file()]
    files = [file for file in here if ".json" not in file.name.lower()]
    return files or (here if is_structures(path) else [])


def _predict_files(predictor: Predictor, files: list[Path], root: Path, workers: int) -> Iterator[pa.Table]:
    """Predict structure files, known by their names without the ending; a row for what cannot be read."""
    places: deque[tuple[str, int]] = deque()  # the file of every document under way, and its number there

    def documents() -> Iterator[tuple[str, bytes | None, str | None]]:
        for file in files:
            for number, document in enumerate(structure_documents("", file, structure_id(file, root), {})):
                places.append((str(file), number))
                yield document

    # For a few files, processes would take longer to start.
    workers = workers if len(files) > BATCH_SIZE else 1
    for table in predictor.predict_documents(batched_documents(documents()), workers):
        crystal = _crystal_of_row(predictor, table)
        names, numbers = zip(*(places.popleft() for _ in range(crystal[-1] + 1)), strict=True)
        yield _rows(table, pa.array(names).take(pa.array(crystal)), np.array(numbers)[crystal])


def _is_snapshot(path: Path) -> bool:
    """Whether a path is a collection of records rather than the file of a structure."""
    kind = recognise(path)
    if kind != "records":
        return True
    names = (".parquet", ".jsonl", ".ndjson", ".json", ".yaml", ".yml")
    if not path.is_dir() and not path.name.lower().removesuffix(".gz").endswith(names):
        return False
    document = first_document(path)
    return not (isinstance(document, dict) and "sites" in document)  # a structure as pymatgen writes it


def _unnamed(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Return nothing: crystals of a structure file have no ids."""
    place = PREDICTIONS.get_field_index("material_id")
    for table in tables:
        yield table.set_column(place, "material_id", pa.nulls(len(table), pa.string()))


@contextmanager
def table_writer(out: Path | None, form: str) -> Iterator[Callable[[pa.Table], None]]:
    """Something that takes tables of `ROWS` and writes them one after another.

    Parameters
    ----------
    out
        The file to write, which is there when the block has ended, and not before; standard output by
        default.
    form
        "csv", "json" or "parquet"; "table" to be read on a terminal.

    Raises
    ------
    UserError
        If there is something else than a file of that name, or Parquet has no file.
    OSError
        If the file cannot be written.
    """
    if out is None:
        if form == "parquet":
            raise UserError("Parquet goes to a file: name it with --out FILE.parquet")
        with _WRITERS[form](sys.stdout) as write:
            yield write
        return
    with replaced_file(out) as partial, ExitStack() as stack:
        if form == "parquet":
            writer = stack.enter_context(pq.ParquetWriter(partial, ROWS))
            yield writer.write_table
        else:
            file = stack.enter_context(partial.open("w", newline=""))
            yield stack.enter_context(_WRITERS[form](file))


def _plain(table: pa.Table) -> list[dict[str, object]]:
    rows = table.to_pylist()
    for row in rows:
        for name in ("value", "standard_deviation"):
            row[name] = None if row[name] is None else float(f"{row[name]:.{_DIGITS}g}")
    return rows


@contextmanager
def _csv(file: IO[str]) -> Iterator[Callable[[pa.Table], None]]:
    table = csv.DictWriter(file, fieldnames=ROWS.names, lineterminator="\n")
    begun = False

    def write(rows: pa.Table) -> None:
        nonlocal begun
        if not begun:
            table.writeheader()
        begun = True
        for row in _plain(rows):
            table.writerow({k: spreadsheet(v) if isinstance(v, str) else v for k, v in row.items()})

    yield write


@contextmanager
def _json(file: IO[str]) -> Iterator[Callable[[pa.Table], None]]:
    n_rows = 0

    def write(rows: pa.Table) -> None:
        nonlocal n_rows
        for row in _plain(rows):
            file.write((",\n" if n_rows else "[") + json.dumps(row))
            n_rows += 1

    yield write
    if n_rows:
        file.write("]\n")


@contextmanager
def _table(file: IO[str]) -> Iterator[Callable[[pa.Table], None]]:
    begun = False

    def write(rows: pa.Table) -> None:
        nonlocal begun
        print(predictions_table(rows, head=not begun), file=file)
        begun = True

    yield write


_WRITERS = {"csv": _csv, "json": _json, "table": _table}
