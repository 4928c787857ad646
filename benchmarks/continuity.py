"""How much predictions change when every atom moves by 1e-4 A, on real crystals.

A prediction that is smooth changes by some tenths of a meV; one that jumps where a face or a bond comes or
goes changes as much for the smallest step. Crystals are drawn from mp_records.parquet; in most of them
symmetry makes Voronoi cells touch in a point or along an edge, where a step makes a face::

    python benchmarks/continuity.py formation-energy band-gap
"""

from __future__ import annotations

import argparse
import json
import warnings

import numpy as np
import pyarrow.parquet as pq
from common import data_folder, save
from pymatgen.core import Structure

#: Length of a step of every atom, in A, and crystals that are tried.
STEP, N_CRYSTALS = 1e-4, 500

#: Sites of a cell at most, as in a release.
MAX_SITES = 50

#: Above so much a change counts as a jump, in the unit of the target.
JUMP = {"eV/atom": 1e-3, "eV": 1e-2}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", help="runs, exported folders or names of reference models")
    options = parser.parse_args()

    import ecn
    from ecn.testing import largest_changes
    from mpclean.crystal.crystal import Crystal

    texts = pq.read_table(data_folder() / "mp_records.parquet", columns=["structure"])["structure"]
    crystals: list[Crystal] = []
    for k in np.random.default_rng(0).permutation(len(texts)).tolist():
        structure = Structure.from_dict(json.loads(texts[k].as_py()))
        if len(structure) <= MAX_SITES:
            crystals.append(Crystal.from_pymatgen(structure))
        if len(crystals) == N_CRYSTALS:
            break
    rows, found = [], {}
    for run in options.runs:
        model = ecn.load(run)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of crystals outside the training set: what jumps is asked here
            change = STEP * largest_changes(model.predict, crystals, steps=[STEP])[:, 0]
        unit = model.predict(crystals[0])[0].unit
        change = change[~np.isnan(change)]
        jumps = int((change > JUMP[unit]).sum())
        rows.append(
            [
                run,
                unit,
                *(f"{q:.1e}" for q in np.quantile(change, [0.5, 0.99, 1.0])),
                f"{jumps} of {len(change)}",
            ]
        )
        found[run] = change.tolist()
        print(rows[-1])
    save(
        "continuity",
        "Predictions when every atom moves by 1e-4 A",
        ["model", "unit", "median change", "99th percentile", "largest", "changes that count as jumps"],
        rows,
        f"The largest change over three random displacements of each of {N_CRYSTALS} crystals drawn from "
        "mp_records.parquet, with the primitive cell and the bonds found anew. A jump is a change above "
        f"{JUMP['eV/atom']:g} eV/atom, or {JUMP['eV']:g} eV.",
        changes=found,
    )


if __name__ == "__main__":
    main()
