"""What ``ecn predict`` is given, structure files, snapshots and releases, and the table that it writes."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ecn.data.rows import open_release
from ecn.inference.predict import PREDICTIONS, Predictor
from ecn.inference.tables import predictions_table
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading import is_structure_file, read_file
from mpclean.errors import UserError
from mpclean.release.atomic import PARTIAL
from mpclean.release.layout import MANIFEST
from mpclean.sources import open_source, recognise
from mpclean.sources.records import first_document
from mpclean.vocabulary.text import spreadsheet

#: Predictions with the input that they are for, and the place of the crystal there, from 0.
ROWS = pa.schema([("file", pa.string()), ("index", pa.int64()), *PREDICTIONS])

#: Endings that are no part of the id that a file of a folder gives to its crystal.
_ENDINGS = ("cif", "mcif", "vasp", "poscar", "xyz", "extxyz", "res", "gz", "bz2", "xz", "zst")

#: Crystals of a folder of files that are predicted together, within bounded memory.
_AT_ONCE = 512

#: Significant digits of a number in text; single precision has no more than seven.
_DIGITS = 6


def predict_input(
    predictor: Predictor,
    path: Path,
    part: str | None,
    workers: int,
    report: Callable[[UserError], object],
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
    report
        Called with the mistake of a file of a folder that cannot be read; the others are predicted.

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
        tables = _predict_files(predictor, files, workers, report)
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
    start, target = 0, predictor.goal.tasks[0].name
    for table in tables:
        begins = pc.and_(pc.equal(table["target"], target), pc.equal(table["site"].fill_null(0), 0))
        place = start - 1 + np.cumsum(begins.to_numpy())  # a crystal has a row for each target, or each site
        columns = [pa.array([str(path)] * len(table)), pa.array(place)]
        yield pa.table([*columns, *table.columns], schema=ROWS)
        start += pc.sum(begins).as_py() or 0


def structure_files(folder: Path) -> list[Path]:
    """List the structure files in a folder, by name; none if it is not a folder.

    JSON files do not count, which are as often tables beside the structures.
    """
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and is_structure_file(path) and ".json" not in path.name.lower()
    )


def _predict_files(
    predictor: Predictor, files: list[Path], workers: int, report: Callable[[UserError], object]
) -> Iterator[pa.Table]:
    """Predict structure files, known by their names without the ending; `_AT_ONCE` crystals at a time."""
    place = PREDICTIONS.get_field_index("material_id")
    found = _read_files(files, report)
    while batch := list(islice(found, _AT_ONCE)):
        names, crystals = zip(*batch, strict=True)
        for table in predictor.predict_crystals(crystals, workers):
            number = pc.cast(table["material_id"], pa.int64())
            yield table.set_column(place, "material_id", pa.array(names, pa.string()).take(number))


def _read_files(files: list[Path], report: Callable[[UserError], object]) -> Iterator[tuple[str, Crystal]]:
    for path in files:
        try:
            entries = read_file(path)
        except UserError as error:
            report(error)
            continue
        for entry in entries:
            if entry.reading is None:
                report(UserError(f"{path}: {entry.problem}"))
            else:
                yield f"{_stem(path)}{entry.suffix}", entry.crystal


def _stem(path: Path) -> str:
    """Give the name of a structure file without what says its format, and whether it is packed."""
    name = path.name
    while (part := name.rpartition("."))[1] and part[2].lower() in _ENDINGS:
        name = part[0]
    return name


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
        If the file cannot be written, or Parquet has no file.
    """
    if out is None:
        if form == "parquet":
            raise UserError("Parquet goes to a file: name it with --out FILE.parquet")
        with _WRITERS[form](sys.stdout) as write:
            yield write
        return
    if out.exists() and not out.is_file():  # a device, a pipe or a folder must not give its name to a file
        raise UserError(f"{out}: exists and is not a regular file; name another --out")
    partial = out.with_name(out.name + PARTIAL)
    try:
        with ExitStack() as stack:
            if form == "parquet":
                writer = stack.enter_context(pq.ParquetWriter(partial, ROWS))
                yield writer.write_table
            else:
                file = stack.enter_context(partial.open("w", newline=""))
                yield stack.enter_context(_WRITERS[form](file))
        partial.replace(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        partial.unlink(missing_ok=True)


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
