"""How fast a build is: beside the way of the paper on the same crystals, and as a whole.

The paper's way is pymatgen's: `IsayevNN` on the 2 x 2 x 2 supercell, the dimensionality after Larsen,
and `SpacegroupAnalyzer`. Both start from the same documents and are timed in one process on one core, in
CPU time::

    python benchmarks/build.py --crystals 40 --workers 1 2
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from common import data_folder, save, timed

from mpclean import open_release
from mpclean.crystal.bonding.graph import MIN_AREA
from mpclean.pipeline.steps import Bonds, BondTask, PrepareTask, bond, prepare
from mpclean.sources import DOCUMENTS

Argument = TypeVar("Argument")


def documents(wanted: int) -> list[bytes]:
    """Documents of random crystals of at most 50 atoms, with their structure alone."""
    table = pq.read_table(data_folder() / "mp_records.parquet", columns=["material_id", "structure"])
    chosen: list[bytes] = []
    for row in np.random.default_rng(0).permutation(table.num_rows):
        document = table.slice(int(row), 1).to_pylist()[0]
        document["structure"] = orjson.loads(document["structure"])
        if len(document["structure"]["sites"]) <= 50:
            chosen.append(orjson.dumps(document))
        if len(chosen) == wanted:
            break
    return chosen


def ours(batch: list[bytes]) -> list[tuple[int, int, int]]:
    """Atoms, space group and dimensionality, by both passes of a build over a batch."""
    rows = [{"location": "row", "document": document} for document in batch]
    prepared = prepare(PrepareTask(pa.RecordBatch.from_pylist(rows, schema=DOCUMENTS), 0))
    bonded = bond(BondTask(prepared, Bonds("voronoi", MIN_AREA, 0.0)))
    columns = (prepared["nsites"], prepared["spacegroup_computed"], bonded["dimensionality"])
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def papers(document: bytes) -> tuple[int, int]:
    """Space group and dimensionality, by way of the bonds of the 2 x 2 x 2 supercell."""
    from pymatgen.analysis.dimensionality import get_dimensionality_larsen
    from pymatgen.analysis.graphs import StructureGraph
    from pymatgen.core import Structure
    from pymatgen.core.local_env import IsayevNN
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    structure = Structure.from_dict(orjson.loads(document)["structure"])
    symmetry = SpacegroupAnalyzer(structure, symprec=0.1)
    number = symmetry.get_space_group_number()
    structure = symmetry.find_primitive()
    structure.make_supercell([2, 2, 2])
    # pymatgen fails where a coordinate is 1 - 1e-17; and its finder changes its own cutoff, so a fresh one.
    inside = np.maximum(structure.frac_coords - np.floor(structure.frac_coords + 1e-9), 0.0)
    structure = Structure(structure.lattice, structure.species, inside)
    graph = StructureGraph.from_local_env_strategy(structure, IsayevNN(tol=0.5, cutoff=6.0))
    return number, get_dimensionality_larsen(graph)


def seconds_of(function: Callable[[Argument], object], argument: Argument) -> float:
    """CPU seconds of a call."""
    begin = time.process_time()
    function(argument)
    return time.process_time() - begin


def beside_the_paper(n_crystals: int) -> None:
    """Time both ways on the same crystals: the paper's one by one, ours in batches as a build does."""
    chosen, theirs, found = [], [], []
    wanted = documents(n_crystals)
    with warnings.catch_warnings(), suppress(RuntimeError, ValueError):
        warnings.simplefilter("ignore")
        papers(wanted[0])  # and its libraries are imported, its tables are made
    for document in wanted:
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found.append(papers(document))
            except (RuntimeError, ValueError):  # pymatgen's cloud of points was too small
                continue
        theirs.append(time.process_time() - begin)
        chosen.append(document)
    results = ours(chosen)  # and tables are made, compiled code is loaded
    same = sum(result[1:] == other for result, other in zip(results, found, strict=True))
    atoms, seconds = np.array([result[0] for result in results]), np.array(theirs)
    table, measured = [], {}
    for title, rows in (
        ("1 to 10", atoms <= 10),
        ("11 to 25", (atoms > 10) & (atoms <= 25)),
        ("26 to 50", atoms > 25),
        ("all", atoms > 0),
    ):
        if rows.any():
            batch = [chosen[row] for row in np.nonzero(rows)[0]]
            our_ms = 1e3 * statistics.median(seconds_of(ours, batch) for _ in range(5)) / len(batch)
            their_ms = 1e3 * seconds[rows].mean()
            measured[title] = {"ours_ms": our_ms, "papers_ms": their_ms}
            numbers = (
                f"{atoms[rows].mean():.1f}",
                f"{our_ms:.2f}",
                f"{their_ms:.0f}",
                f"{their_ms / our_ms:.0f}",
            )
            table.append([title, len(batch), *numbers])
    save(
        "paper",
        "A crystal in a build, beside the paper's way",
        ["atoms in the primitive cell", "crystals", "mean atoms", "ms, mpclean", "ms, paper's way", "ratio"],
        table,
        "CPU time on one core from the document to space group, bonds and dimensionality, the same crystals: "
        "the paper's way one by one, ours in a batch, as a build works, median of five. The paper's way: "
        "pymatgen's SpacegroupAnalyzer, IsayevNN on the 2 x 2 x 2 supercell, dimensionality after Larsen. "
        f"Both found the same space group and dimensionality for {same} of {len(chosen)}; pymatgen failed on "
        f"{n_crystals - len(chosen)} more.",
        measured=measured,
    )


def whole_builds(workers: list[int], limit: int | None) -> None:
    """Build the same source with several numbers of workers."""
    rows, hashes = [], []
    stages: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, count in enumerate(workers):
            out = Path(folder) / f"build-{number}" / "mp"
            command = ["mpclean", "build", "--source", str(data_folder() / "mp_records.parquet")]
            command += ["--out", str(out), "--workers", str(count)]
            command += ["--limit", str(limit)] if limit else []
            run = timed(command)
            manifest = open_release(out).manifest
            stages = {stage.name: stage.kept for stage in manifest.stages}
            hashes.append(manifest.content_hash)
            rows.append(
                [
                    count,
                    f"{stages['records']:,}",
                    f"{run['seconds']:.0f}",
                    f"{stages['records'] / run['seconds'] / count:.1f}",
                    f"{run['cpu_seconds']:.0f}",
                    f"{stages['records'] / run['cpu_seconds']:.1f}",
                    f"{run['peak_memory_gib']:.2f}",
                    hashes[-1][:16],
                ]
            )
    head = ["workers", "records", "seconds", "records/s/worker", "CPU s", "records/CPU s", "peak GiB"]
    same = "the same" if len(set(hashes)) == 1 else "NOT THE SAME"
    left = ", ".join(f"{name} {count:,}" for name, count in stages.items())
    save(
        "build",
        "Whole builds of mp_records.parquet",
        [*head, "content hash"],
        rows,
        f"Content hash of all runs: {same}. Records left after each stage: {left}. "
        "CPU time is that of all processes, peak memory that of the largest.",
        hashes=hashes,
        stages=stages,
    )


def beside_another(checkout: Path, label: str, pairs: int, limit: int) -> None:
    """Build the same records with this checkout and another one in turns, and compare their CPU seconds."""
    source = str((data_folder() / "mp_records.parquet").resolve())
    checkouts = {label: checkout.resolve(), "this commit": Path(__file__).resolve().parents[1]}
    seconds: dict[str, list[float]] = {name: [] for name in checkouts}
    kept: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(pairs + 1):
            for name, path in checkouts.items():
                os.environ["PYTHONPATH"] = str(path)
                out = Path(folder) / f"{name}-{number}".replace(" ", "-")
                run = timed(
                    [
                        *(sys.executable, "-P", "-c", "from mpclean.cli import main; main()", "build"),
                        *("--source", source, "--out", str(out), "--workers", "1", "--limit", str(limit)),
                    ]
                )
                if number:  # in the first pair compiled code is made and files are read from disk
                    seconds[name].append(run["cpu_seconds"])
                kept[name] = sum(pq.read_metadata(file).num_rows for file in out.glob("data/*.parquet"))
    ratios = [now / then for then, now in zip(*seconds.values(), strict=True)]
    save(
        "build_paired",
        f"Builds now and at {label}",
        ["checkout", "CPU s, median", "CPU s, least", "records/CPU s, median", "records/CPU s, best", "kept"],
        [
            [
                name,
                f"{statistics.median(found):.2f}",
                f"{min(found):.2f}",
                f"{limit / statistics.median(found):.0f}",
                f"{limit / min(found):.0f}",
                kept[name],
            ]
            for name, found in seconds.items()
        ],
        f"The first {limit:,} records of mp_records.parquet, one worker, {pairs} builds of each in turns "
        "after one that does not count; start and imports included. CPU time now is "
        f"{statistics.median(ratios):.3f} times that of {label}: the median of the paired ratios, which are "
        f"from {min(ratios):.3f} to {max(ratios):.3f}.",
        seconds=seconds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--crystals", type=int, default=40, help="beside the paper's way; 0 leaves it out")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="a whole build for each")
    parser.add_argument("--limit", type=int, help="read this many records only in a whole build")
    parser.add_argument("--against", type=Path, help="only build with another checkout, too, in turns")
    parser.add_argument("--label", help="its commit")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    if options.against:
        beside_another(options.against, options.label, options.pairs, options.limit or 2000)
        return
    if options.crystals:
        beside_the_paper(options.crystals)
    if options.workers:
        whole_builds(options.workers, options.limit)


if __name__ == "__main__":
    main()
