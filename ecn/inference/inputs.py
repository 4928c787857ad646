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
from mpclean.crystal.reading import read_file
from mpclean.errors import UserError
from mpclean.pipeline.single import documents
from mpclean.release.atomic import PARTIAL
from mpclean.release.layout import MANIFEST
from mpclean.sources import open_source, recognise
from mpclean.sources.records import first_document

#: Predictions with the input that they are for, and the place of the crystal there, from 0.
ROWS = pa.schema([("file", pa.string()), ("index", pa.int64()), *PREDICTIONS])

#: Significant digits of a number in text; single precision has no more than seven.
_DIGITS = 6


def predict_input(predictor: Predictor, path: Path, part: str | None, workers: int) -> Iterator[pa.Table]:
    """Predict what is at a path, as a stream of tables of `ROWS`.

    Parameters
    ----------
    predictor
        The models.
    path
        The folder of a release; a snapshot that ``mpclean build --source`` recognises (Parquet, JSON
        lines, CSV of Perov-5, extended XYZ, ...); or a structure file (`read_file`).
    part
        Of a release: "train", "validation" or "test"; all rows where it is None.
    workers
        Processes for the crystals of a snapshot.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    if (path / MANIFEST).is_file():
        tables = predictor.predict_release(open_release(path), part)
    elif part is not None:
        raise UserError(f"{path}: no release, so it has no part {part!r}")
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
        tables = _unnamed(predictor.predict_documents(documents(crystals)))
    start, target = 0, predictor.goal.tasks[0].name
    for table in tables:
        begins = pc.and_(pc.equal(table["target"], target), pc.equal(table["site"].fill_null(0), 0))
        place = start - 1 + np.cumsum(begins.to_numpy())  # a crystal has a row for each target, or each site
        columns = [pa.array([str(path)] * len(table)), pa.array(place)]
        yield pa.table([*columns, *table.columns], schema=ROWS)
        start += pc.sum(begins).as_py() or 0


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
    """The crystals of a structure file have no ids."""
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
        "csv", "json" or "parquet".

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
        table.writerows(_plain(rows))

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


_WRITERS = {"csv": _csv, "json": _json}
