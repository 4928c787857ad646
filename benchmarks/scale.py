"""Whether memory and time of a build grow with the source: generated sources of 20,000 to 2 million records.

Every record is a quaternary Heusler crystal of its own four elements; every third is a duplicate of the one
before the last. What is measured is the way of a record through a build: reading, travelling, files, rules,
split, writing. The chemistry of a crystal does not depend on how many there are, and `build.py` times it;
here a worker does it for one crystal, and gives every other the cell and the bonds of that one. So it is with
the checks of a cell that is read, and with the comparison of duplicates, which are said to be equal.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from math import comb
from pathlib import Path

import numpy as np
import pyarrow as pa
from common import save
from numpy.typing import NDArray

from mpclean.crystal.cells import PrimitiveCell
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading import documents as reading
from mpclean.pipeline import passes
from mpclean.pipeline import run as pipeline
from mpclean.pipeline import steps as work
from mpclean.sources import DOCUMENTS, SOURCES, Identity, Kind, Source, base
from mpclean.vocabulary.elements import SYMBOLS

SIZES = (20_000, 200_000, 2_000_000)

#: Atomic numbers of the generated crystals: 3 million sets of four.
ELEMENTS = range(1, 95)

_DOCUMENT = (
    '{{"material_id":"gen-{n}","structure":{{"lattice":{{"matrix":[[0,3.05,3.05],[3.05,0,3.05],[3.05,3.05,0]]}},'
    '"sites":[{{"species":[{{"element":"{0}"}}],"abc":[0,0,0]}},{{"species":[{{"element":"{1}"}}],"abc":[0.25,0.25,0.25]}},'
    '{{"species":[{{"element":"{2}"}}],"abc":[0.5,0.5,0.5]}},{{"species":[{{"element":"{3}"}}],"abc":[0.75,0.75,0.75]}}]}},'
    '"formation_energy_per_atom":{energy},"band_gap":{gap},"efermi":3.5,"e_above_hull":0.01}}'
)  # fmt: skip


#: By k and c: how many sets of k + 1 of the first c elements there are.
_SETS = [np.array([comb(c, k) for c in range(len(ELEMENTS) + 1)]) for k in (1, 2, 3, 4)]


def elements(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sets of four of `ELEMENTS`, ascending, by their numbers (the combinatorial number system)."""
    chosen = np.empty((len(numbers), 4), dtype=np.int64)
    for k in (3, 2, 1, 0):
        chosen[:, k] = np.searchsorted(_SETS[k], numbers, side="right") - 1
        numbers = numbers - _SETS[k][chosen[:, k]]
    return ELEMENTS.start + chosen


def batches(n: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, n, base.BATCH_SIZE):
        numbers = range(start, min(start + base.BATCH_SIZE, n))
        like = np.array(
            [k - 2 if k % 3 == 2 else k for k in numbers]
        )  # two of three have formulas of their own
        documents = [
            _DOCUMENT.format(
                *(SYMBOLS[z] for z in chosen), n=k, energy=-1.0 + (k % 3) / 100, gap=(k % 7) / 2
            ).encode()
            for k, chosen in zip(numbers, elements(like * 7919 % _SETS[3][-1]).tolist(), strict=True)
        ]
        yield pa.RecordBatch.from_arrays(
            [
                pa.array([f"record {k}" for k in numbers]),
                pa.array(documents, pa.large_binary()),
                pa.nulls(len(documents), pa.string()),
            ],
            schema=DOCUMENTS,
        )


def open_generated(n: int) -> Source:
    identity = Identity("generated", None, f"generated {n}", "CC0-1.0", "benchmarks/scale.py", synthetic=True)
    return Source(identity, lambda: batches(n), n_documents=n)


# ---------------------------------------------------------------- in the workers


@cache
def remember() -> None:
    """Do the work on crystals for one of them, and let that be the answer for all."""
    lattice = 3.05 * (1.0 - np.eye(3))
    crystal = Crystal(
        lattice, np.array([20, 22, 38, 40], dtype=np.uint8), np.arange(4)[:, None] / 4 + np.zeros(3)
    )
    primitive = work.primitive_cell(crystal)
    canonical = work.canonical_cell(primitive.crystal, primitive.bravais_lattice)
    number = work.spacegroup_number(primitive.crystal)
    graph = work.bond_graph(canonical.crystal)

    def renamed(like: PrimitiveCell) -> Callable[..., PrimitiveCell]:
        ranks = np.unique(like.crystal.atomic_numbers, return_inverse=True)[1]

        def rename(crystal: Crystal, *options: object) -> PrimitiveCell:
            numbers = np.sort(crystal.atomic_numbers)[ranks]
            return replace(like, crystal=replace(like.crystal, atomic_numbers=numbers))

        return rename

    work.primitive_cell, work.canonical_cell = renamed(primitive), renamed(canonical)
    work.first_equals = lambda crystals: ([0] * len(crystals), [True] * len(crystals))  # which is the case
    reading.require_bounds = lambda crystal: None  # of cells, which are all alike
    work.spacegroup_number = lambda crystal, **options: number
    work.bond_graph = lambda crystal, min_area: graph


def prepare(task: work.PrepareTask) -> pa.RecordBatch:
    remember()
    return work.prepare(task)


def match(task: work.MatchTask) -> pa.RecordBatch:
    remember()
    return work.match(task)


def bond(task: work.BondTask) -> pa.RecordBatch:
    remember()
    return work.bond(task)


# ---------------------------------------------------------------- one build, and all of them


def one(n: int, workers: int) -> None:
    """Build, and print what it took: this process coordinates and does nothing else."""
    SOURCES["generated"] = Kind(lambda path: open_generated(n), lambda path: False, lambda: open_generated(n))
    passes.prepare, passes.match, passes.bond = prepare, match, bond  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        release = pipeline.build(source="generated", out=Path(folder) / "generated", workers=workers)
        seconds = time.perf_counter() - begin
        size = sum(entry.bytes for entry in release.manifest.files.values())
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(
        json.dumps(
            {
                "records": n,
                "kept": sum(release.manifest.splits.values()),
                "seconds": seconds,
                "coordinator_cpu": own.ru_utime + own.ru_stime,
                "worker_cpu": children.ru_utime + children.ru_stime,
                "peak_bytes": own.ru_maxrss * 1024,
                "worker_peak_bytes": children.ru_maxrss * 1024,
                "release_bytes": size,
            }
        )
    )


def cpu(run: dict[str, float]) -> float:
    """CPU time of a build, of all its processes, s."""
    return run["coordinator_cpu"] + run["worker_cpu"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--one", type=int, help="build one size and print what it took")
    options = parser.parse_args()
    if options.one:
        one(options.one, options.workers)
        return
    runs: list[dict[str, float]] = []
    for n in options.sizes:
        command = [sys.executable, __file__, "--one", str(n), "--workers", str(options.workers)]
        runs.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        print(runs[-1], file=sys.stderr)
    rows = []
    for before, run in zip([None, *runs], runs, strict=False):
        row = [
            f"{run['records']:,}",
            f"{run['kept']:,}",
            f"{run['seconds']:.0f}",
            f"{run['records'] / run['seconds']:.0f}",
            f"{1e3 * cpu(run) / run['records']:.3f}",
            f"{1e3 * run['coordinator_cpu'] / run['records']:.3f}",
            f"{run['peak_bytes'] / 2**20:.0f}",
            f"{run['release_bytes'] / run['kept']:.0f}",
        ]
        if before:
            more = run["records"] - before["records"]
            row += [
                f"{1e3 * (run['seconds'] - before['seconds']) / more:.3f}",
                f"{1e3 * (cpu(run) - cpu(before)) / more:.3f}",
                f"{(run['peak_bytes'] - before['peak_bytes']) / more:.0f}",
            ]
        rows.append([*row, *[""] * (11 - len(row))])
    more = runs[-1]["records"] - runs[0]["records"]
    growth = (runs[-1]["peak_bytes"] - runs[0]["peak_bytes"]) / more if more else 0.0
    save(
        "scale",
        "Sources of any length",
        [
            *("records", "kept", "seconds", "records/s", "CPU ms/record", "of it coordinator"),
            *("coordinator peak MiB", "release bytes/row"),
            *("ms/record beyond the row above", "CPU ms/record beyond it", "bytes/record beyond it"),
        ],
        rows,
        f"{options.workers} worker processes. The chemistry is done once a worker, so that what is timed is "
        "the way of a record through a build; peak memory is that of the process that coordinates. From the "
        f"first row to the last it grows by {growth:.0f} bytes a record. What a record takes beyond the row "
        "above is without the start of the processes, which every row has in it.",
        runs=runs,
    )


if __name__ == "__main__":
    main()
