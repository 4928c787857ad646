"""Real records written to each format by its own library, and read back through the door.

A crystal is the same where its cell has the same lengths and angles and every atom lies where it lay; a
format that another cell is written to, as CIF with its symmetry is, where StructureMatcher of pymatgen says
so without a change of scale. What is not the same must have been refused, with a reason::

    python benchmarks/doors.py --records 2000
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from common import data_folder, save
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.cif import CifWriter
from pymatgen.io.res import ResIO
from pymatgen.io.vasp import Poscar

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading import read_file, read_object, read_structure
from mpclean.errors import RecordError
from mpclean.sources import open_source
from mpclean.sources.documents import read_documents

#: Largest distance between where an atom lay and where it is read, A: the last digits of the formats.
TOLERANCE = 2e-3

#: Largest difference of two edges of a cell, A, and twice that for cosines of its angles.
METRIC = 1e-3

LABEL = "formation_energy_per_atom"


@dataclass(frozen=True)
class Record:
    """A real record, as it goes in."""

    id: str
    structure: Structure
    crystal: Crystal
    label: float


@dataclass(frozen=True)
class Back:
    """What came out: a crystal or a reason, and the id and label that the format holds."""

    crystal: Crystal | None
    reason: str | None = None
    id: str | None = None
    label: float | None = None


Way = Callable[[Path, list[Record]], Iterator[Back]]


def in_files(name: str, write: Callable[[Path, Record], object]) -> Way:
    """Write each record to a file of its own; the name of the file is the id."""

    def way(folder: Path, records: list[Record]) -> Iterator[Back]:
        for record in records:
            path = folder / name.format(id=record.id)
            write(path, record)
            (entry,) = read_file(path)
            reason = None if entry.problem is None else entry.problem.reason
            yield Back(None if entry.reading is None else entry.reading.crystal, reason)

    return way


def in_source(name: str, kind: str, write: Callable[[Path, list[Record]], object]) -> Way:
    """Write all records to one source."""

    def way(folder: Path, records: list[Record]) -> Iterator[Back]:
        path = folder / name
        write(path, records)
        for batch in open_source(kind, path).batches():
            for row in read_documents(batch).to_pylist():
                known = row["reason"] is None
                label = row["id_prop"] if kind == "cgcnn" else row[LABEL]
                label = row["band_gap"] if kind == "lemat" else label
                yield Back(Crystal.from_row(row) if known else None, row["reason"], row["material_id"], label)

    return way


def by_value(make: Callable[[Record], Any], read: Callable[[Any], Any]) -> Way:
    """Hand each record over as an object or a value of a document."""

    def way(folder: Path, records: list[Record]) -> Iterator[Back]:
        for record in records:
            try:
                yield Back(read(make(record)).crystal)
            except RecordError as error:
                yield Back(None, error.reason)

    return way


def packed(text: str, path: Path) -> None:
    pack = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix)
    path.write_bytes(pack(text.encode()) if pack else text.encode())


def cif(symprec: float | None) -> Callable[[Path, Record], None]:
    return lambda path, record: packed(str(CifWriter(record.structure, symprec=symprec)), path)


def write_ase(form: str) -> Callable[[Path, Record], None]:
    return lambda path, record: ase.io.write(path, record.structure.to_ase_atoms(), format=form)


def frames(path: Path, records: list[Record]) -> None:
    images = []
    for record in records:
        atoms = record.structure.to_ase_atoms()
        atoms.info = {"material_id": record.id, LABEL: record.label}
        images.append(atoms)
    ase.io.write(path, images, format="extxyz")


def database(path: Path, records: list[Record]) -> None:
    with ase.db.connect(path) as rows:
        for record in records:
            rows.write(record.structure.to_ase_atoms(), material_id=record.id, **{LABEL: record.label})


def cgcnn(path: Path, records: list[Record]) -> None:
    path.mkdir()
    for record in records:
        cif(None)(path / f"{record.id}.cif", record)
    (path / "id_prop.csv").write_text("".join(f"{record.id},{record.label!r}\n" for record in records))


def entries(path: Path, records: list[Record]) -> None:
    made = [
        ComputedStructureEntry(
            record.structure, -1.0, entry_id=record.id, data={LABEL: record.label, "run_type": "GGA"}
        ).as_dict()
        for record in records
    ]
    path.write_bytes(gzip.compress(json.dumps(made).encode()))


def lemat(path: Path, records: list[Record]) -> None:
    columns = {
        "immutable_id": [record.id for record in records],
        "lattice_vectors": [record.structure.lattice.matrix.tolist() for record in records],
        "cartesian_site_positions": [record.structure.cart_coords.tolist() for record in records],
        "species_at_sites": [[site.specie.symbol for site in record.structure] for record in records],
        "nsites": [len(record.structure) for record in records],
        "dimension_types": [[1, 1, 1]] * len(records),
        "chemical_formula_reduced": [record.structure.composition.reduced_formula for record in records],
        # The layout has no formation energy; any label shows that rows are not mixed up.
        "band_gap_indirect": [abs(record.label) for record in records],
    }
    pq.write_table(pa.table(columns), path)


def documents(path: Path, records: list[Record]) -> None:
    lines = (
        orjson.dumps({"material_id": r.id, "structure": r.structure.as_dict(), LABEL: r.label})
        for r in records
    )
    path.write_bytes(gzip.compress(b"\n".join(lines)))


#: Each way: its name, how it goes, whether the cell may be another one, and whether it holds ids and labels.
WAYS: dict[str, tuple[Way, bool, bool]] = {
    "CIF, pymatgen": (in_files("{id}.cif", cif(None)), False, False),
    "CIF with symmetry, pymatgen, gzip": (in_files("{id}.cif.gz", cif(0.01)), True, False),
    "CIF, ASE, no symmetry": (in_files("{id}.cif", write_ase("cif")), False, False),
    "CIF text in a document": (by_value(lambda r: str(CifWriter(r.structure)), read_structure), False, False),
    "id_prop.csv and CIF": (in_source("folder", "cgcnn", cgcnn), False, True),
    "POSCAR, pymatgen": (
        in_files("POSCAR_{id}.bz2", lambda path, r: packed(str(Poscar(r.structure)), path)),
        False,
        False,
    ),
    "POSCAR, ASE": (in_files("{id}.vasp", write_ase("vasp")), False, False),
    "RES, pymatgen": (
        in_files("{id}.res", lambda path, r: ResIO.structure_to_file(r.structure, str(path))),
        False,
        False,
    ),
    "XSF, ASE": (in_files("{id}.xsf", write_ase("xsf")), False, False),
    "extended XYZ, ASE": (in_source("frames.extxyz", "ase", frames), False, True),
    "database of ASE (SQLite)": (in_source("rows.db", "ase", database), False, True),
    "structure as JSON, pymatgen": (
        in_files("{id}.json", lambda path, r: path.write_text(json.dumps(r.structure.as_dict()))),
        False,
        False,
    ),
    "ComputedStructureEntry, gzip": (in_source("entries.json.gz", "entries", entries), False, True),
    "columns of LeMat-Bulk and OPTIMADE": (in_source("train.parquet", "lemat", lemat), False, True),
    "documents as JSON lines, gzip": (in_source("docs.jsonl.gz", "records", documents), False, True),
    "Structure of pymatgen": (by_value(lambda r: r.structure, read_object), False, False),
    "Atoms of ASE": (by_value(lambda r: r.structure.to_ase_atoms(), read_object), False, False),
}


@cache
def matcher() -> StructureMatcher:
    return StructureMatcher(ltol=0.01, stol=0.01, angle_tol=0.1, scale=False)


def same_crystal(first: Crystal, second: Crystal, other_cell: bool) -> bool:
    """Whether two crystals are one, in the same cell unless another may have been written."""
    if other_cell:
        return bool(matcher().fit(first.to_pymatgen(), second.to_pymatgen()))
    if len(first) != len(second):
        return False
    metrics = [crystal.lattice @ crystal.lattice.T for crystal in (first, second)]
    edges = np.sqrt(np.diag(metrics[0]))
    if np.abs(metrics[1] - metrics[0]).max() > 2 * METRIC * edges.max():
        return False
    # Formats may reorder the atoms, and write another image of one.
    apart = second.frac_coords[:, None] - first.frac_coords[None]
    distance = np.linalg.norm((apart - np.rint(apart)) @ first.lattice, axis=2)
    distance[second.atomic_numbers[:, None] != first.atomic_numbers[None]] = np.inf
    nearest = distance.argmin(axis=1)
    return bool(distance.min(axis=1).max() < TOLERANCE and len(set(nearest.tolist())) == len(first))


def measure(way: Way, records: list[Record], other_cell: bool, named: bool) -> dict[str, Any]:
    """Send records through a door, and count what comes out."""
    counts: Counter[str] = Counter(written=len(records))
    refused: Counter[str] = Counter()
    different = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that write
        for record, back in zip(records, way(Path(folder), records), strict=True):
            if back.crystal is None:
                refused[str(back.reason)] += 1
            elif same_crystal(record.crystal, back.crystal, other_cell):
                counts["same crystal"] += 1
            else:
                different.append(record.id)
            if named:
                counts["same id"] += back.id == record.id
                wanted = (record.label, abs(record.label))
                counts["same label"] += back.label in wanted or back.crystal is None
    return {**counts, "refused": dict(refused), "different": different}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=2000)
    options = parser.parse_args()
    table = pq.read_table(data_folder() / "mp_records.parquet", columns=["material_id", "structure", LABEL])
    order = np.random.default_rng(0).permutation(table.num_rows)[: options.records]
    records = []
    for row in table.take(np.sort(order)).to_pylist():
        crystal = read_structure(row["structure"]).crystal
        # The crystal without labels of sites, which some libraries would write.
        records.append(Record(row["material_id"], crystal.to_pymatgen(), crystal, row[LABEL]))
    found = {}
    for name, (way, other_cell, named) in WAYS.items():
        found[name] = measure(way, records, other_cell, named)
        print(name, found[name], file=sys.stderr, flush=True)
    rows = [
        [
            name,
            f"{one['written']:,}",
            f"{one.get('same crystal', 0):,}",
            f"{one['same id']:,}" if "same id" in one else "name of the file" if "file" in name else "",
            f"{one['same label']:,}" if "same label" in one else "",
            "; ".join(f"{number} {reason}" for reason, number in one["refused"].items()),
            f"{len(one['different']):,}",
        ]
        for name, one in found.items()
    ]
    save(
        "doors",
        "Real records through every door",
        ["door", "written", "same crystal", "same id", "same label", "refused", "different"],
        rows,
        f"{options.records:,} random records of mp_records.parquet. Where no id and no label is counted, the "
        "format holds none: the name of a file is the id.",
        measured=found,
    )


if __name__ == "__main__":
    main()
