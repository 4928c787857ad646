"""What one prediction of one structure costs, here and in another checkout, in turns.

Both checkouts predict the same crystals of mp_records.parquet with the reference model of formation energies,
one at a time, in processes of their own that take turns, so that a busy machine slows down both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow.parquet as pq
from common import data_folder, save

#: Structures that are predicted; the first of the file with at most so many sites.
STRUCTURES, MOST_SITES = 30, 40

#: Structures whose predictions by every reference model are compared, at most.
COMPARED = 150

#: The models that ship.
REFERENCES = ("formation-energy", "band-gap", "perov5-heat")


def counted(stack: ExitStack, made: Counter[str], owner: Any, name: str, what: str) -> None:
    """Count the calls of a function until the stack is closed."""
    done = getattr(owner, name)

    def count(*args: Any, **kwargs: Any) -> Any:
        made[what] += 1
        return done(*args, **kwargs)

    setattr(owner, name, count)
    stack.callback(setattr, owner, name, done)


def one_by_one() -> None:
    """Predict with the code that Python finds, of whichever checkout, and print what was measured as JSON."""
    import moyopy
    import spglib
    from pymatgen.core import Structure

    import ecn

    try:
        from mpclean.crystal.crystal import Crystal
    except ImportError:  # until 65f685a
        from mpclean.crystal import Crystal
    warnings.simplefilter("ignore")
    table = pq.read_table(data_folder() / "mp_records.parquet", columns=["structure"]).slice(0, 400)
    structures = [Structure.from_dict(json.loads(text)) for text in table["structure"].to_pylist()]
    structures = [s for s in structures if len(s) <= MOST_SITES][:COMPARED]
    model = ecn.load("formation-energy")
    model.predict(structures[:2])  # libraries are loaded, tables are made
    seconds = []
    for structure in structures[:STRUCTURES]:
        begin = time.process_time()
        model.predict([structure])
        seconds.append(time.process_time() - begin)
    made: Counter[str] = Counter()
    with ExitStack() as stack:
        counted(stack, made, Crystal, "__init__", "crystals")
        counted(stack, made, json, "loads", "parses")
        counted(stack, made, orjson, "loads", "parses")
        counted(stack, made, moyopy, "MoyoDataset", "searches")
        counted(stack, made, spglib, "get_symmetry_dataset", "searches")
        for structure in structures[:STRUCTURES]:
            model.predict([structure])
    per_structure = {name: count / STRUCTURES for name, count in made.items()}
    single = {name: list(map(float, ecn.load(name).predict(structures))) for name in REFERENCES}
    double = {name: in_double(ecn.load(name), structures) for name in REFERENCES}
    print(json.dumps([seconds, per_structure, single, double]))


def in_double(model: Any, structures: list[Any]) -> list[float]:
    """Predict in double precision, with no bonds or atoms merged that are equal within a tolerance."""
    try:
        from ecn.data.supercell import ColouredGraph
    except ImportError:  # until 65f685a
        from ecn.supercell import ColouredGraph
    if hasattr(ColouredGraph, "merged"):  # bonds were merged in every pass
        ColouredGraph.merged = lambda self: self
    else:
        for member in model.members:
            member.model.prepare = lambda crystals: crystals
            # Bonds are stored in single precision, and how much a message fades would be, too.
            member.model.edge_weights = lambda batch, weights=member.model.edge_weights: weights(
                batch._replace(edge_length=batch.edge_length.double())
            )
    for member in model.members:
        member.model.double()
    return list(map(float, model.predict(structures)))


class Measured(NamedTuple):
    """What one checkout does: CPU seconds of each structure, what is made for one, predictions by model."""

    seconds: list[float]
    made: dict[str, float]
    single: dict[str, list[float]]
    double: dict[str, list[float]]


def measure(checkout: Path) -> Measured:
    """Predict with the code of a checkout, in a process of its own."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout.resolve()),
        "OMP_NUM_THREADS": "1",
        "MPCLEAN_TEST_DATA": str(data_folder().resolve()),
    }
    command = [sys.executable, str(Path(__file__).resolve()), "--one-by-one"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return Measured(*json.loads(done.stdout.splitlines()[-1]))


def apart(there: list[float], here: list[float]) -> float:
    """Largest difference; a value that one of both keeps from being negative is that of the other."""
    return max(abs(max(a, 0.0) - b if b == 0.0 else a - b) for a, b in zip(there, here, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    parser.add_argument("--label", help="its commit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one-by-one", action="store_true", help="what a process of its own does")
    options = parser.parse_args()
    if options.one_by_one:
        one_by_one()
        return
    here = Path(__file__).parents[1]
    found: dict[str, list[Measured]] = {"there": [], "here": []}
    for _ in range(options.rounds):
        for name, checkout in (("there", options.against), ("here", here)):
            found[name].append(measure(checkout))
    # The best of the rounds for each structure is the one that others disturbed least.
    times = {
        name: [min(column) for column in zip(*(each.seconds for each in rounds), strict=True)]
        for name, rounds in found.items()
    }
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    last = {name: rounds[-1] for name, rounds in found.items()}
    differences = [
        f"{name} {apart(last['there'].single[name], last['here'].single[name]):.1e} and "
        f"{apart(last['there'].double[name], last['here'].double[name]):.1e}"
        for name in last["here"].single
    ]
    save(
        "predict",
        "One prediction of one structure",
        [
            "checkout",
            "median CPU ms",
            "90th percentile",
            "Crystal objects",
            "JSON parses",
            "symmetry searches",
        ],
        [
            [
                options.label if name == "there" else "this commit",
                f"{1e3 * median[name]:.1f}",
                f"{1e3 * sorted(times[name])[int(0.9 * STRUCTURES)]:.1f}",
                *(f"{last[name].made.get(what, 0.0):.1f}" for what in ("crystals", "parses", "searches")),
            ]
            for name in ("there", "here")
        ],
        f"{STRUCTURES} structures of at most {MOST_SITES} sites, the best of {options.rounds} rounds in "
        f"turns; {median['there'] / median['here']:.2f} times as fast. Largest difference of the predictions "
        f"of {COMPARED} structures, in the unit of each reference model, in single precision as it is "
        f"and in double precision, nothing merged that is equal within a tolerance: "
        f"{'; '.join(differences)}.",
        differences=differences,
    )


if __name__ == "__main__":
    main()
