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
from pathlib import Path

from common import data_folder, save

#: Structures that are predicted; the first of the file with at most so many sites.
STRUCTURES, MOST_SITES = 30, 40

ONE_BY_ONE = """
import json, sys, time, warnings
import pyarrow.parquet as pq
from pymatgen.core import Structure
import ecn
warnings.simplefilter("ignore")
texts = pq.read_table(sys.argv[1], columns=["structure"]).slice(0, 400)["structure"].to_pylist()
structures = [Structure.from_dict(json.loads(text)) for text in texts]
structures = [s for s in structures if len(s) <= int(sys.argv[3])][: int(sys.argv[2])]
model = ecn.load("formation-energy")
model.predict(structures[:2])
seconds, values = [], []
for structure in structures:
    begin = time.process_time()
    (prediction,) = model.predict([structure])
    seconds.append(time.process_time() - begin)
    values.append(float(prediction))
print(json.dumps([seconds, values]))
"""


def measure(checkout: Path) -> tuple[list[float], list[float]]:
    """CPU seconds and predictions, one of each for every structure."""
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
    records = str((data_folder() / "mp_records.parquet").resolve())
    command = [sys.executable, "-c", ONE_BY_ONE, records, str(STRUCTURES), str(MOST_SITES)]
    # Python looks in the working directory first: it must be the checkout, or both would be this one.
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    seconds, values = json.loads(done.stdout.splitlines()[-1])
    return seconds, values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, required=True, help="another checkout of this repository")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    here = Path(__file__).parents[1]
    found: dict[str, list[list[float]]] = {"there": [], "here": []}
    values = {}
    for _ in range(options.rounds):
        for name, checkout in (("there", options.against), ("here", here)):
            seconds, values[name] = measure(checkout)
            found[name].append(seconds)
    # The best of the rounds for each structure is the one that others disturbed least.
    times = {name: [min(column) for column in zip(*rounds, strict=True)] for name, rounds in found.items()}
    apart = max(abs(a - b) for a, b in zip(values["there"], values["here"], strict=True))
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    save(
        "predict",
        "One prediction of one structure",
        ["checkout", "median CPU ms", "90th percentile"],
        [
            [name, f"{1e3 * median[name]:.1f}", f"{1e3 * sorted(times[name])[int(0.9 * STRUCTURES)]:.1f}"]
            for name in ("there", "here")
        ],
        f"{STRUCTURES} structures of at most {MOST_SITES} sites, the best of {options.rounds} rounds in "
        f"turns; {median['there'] / median['here']:.2f} times faster. Predictions differ by at most "
        f"{apart:.1e} eV/atom.",
    )


if __name__ == "__main__":
    main()
