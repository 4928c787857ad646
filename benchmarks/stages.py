"""Where the CPU time of a build goes, stage by stage, in this checkout and in an older one.

Each is measured in a process of its own, one after the other, on the same random records::

    git worktree add ../before COMMIT
    python benchmarks/stages.py ../before

The older one must have the functions of STAGES under these names, as commits from 6f998ad on do.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import wraps
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

#: What a stage is called, and the function whose calls it counts.
STAGES = {
    "documents become records": ("mpclean.pipeline.steps", "read_documents"),
    "primitive cells": ("mpclean.pipeline.steps", "primitive_cell"),
    "space groups": ("mpclean.pipeline.steps", "spacegroup_number"),
    "canonical cells": ("mpclean.pipeline.steps", "canonical_cell"),
    "bonds": ("mpclean.pipeline.steps", "Bonds.graph"),
    "topology": ("mpclean.pipeline.steps", "topology"),
    "shards": ("mpclean.pipeline.writing", "write_shards"),
}
REST = "source, rules, files between, imports"


def measure(records: Path) -> dict[str, float]:
    """CPU seconds of every stage of a build with one worker."""
    spent = dict.fromkeys(STAGES, 0.0)

    def clock(stage, function):
        @wraps(function)
        def clocked(*arguments, **options):
            begin = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                spent[stage] += time.process_time() - begin

        return clocked

    begin = time.process_time()
    for stage, (module, path) in STAGES.items():
        *parents, name = path.split(".")
        owner = importlib.import_module(module)
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, clock(stage, getattr(owner, name)))
    import mpclean

    with tempfile.TemporaryDirectory() as folder:
        release = mpclean.build(source=records, out=Path(folder) / "release", workers=1)
    total = time.process_time() - begin
    print(json.dumps({"hash": release.manifest.content_hash, "stages": spent, "total": total}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path, nargs="?", help="an older checkout")
    parser.add_argument("--records", type=int, default=3000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # what a process of its own does
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return

    from common import HERE, data_folder, save

    here = HERE.parent
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "records.parquet"
        table = pq.read_table(data_folder() / "mp_records.parquet")
        rows = np.random.default_rng(0).permutation(table.num_rows)[: options.records]
        pq.write_table(table.take(np.sort(rows)), records)
        checkouts = {"before": options.before, "now": here} if options.before else {"now": here}
        found = {}
        for name, checkout in checkouts.items():
            done = subprocess.run(
                [sys.executable, __file__, "--measure", str(records)],
                env=os.environ | {"PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"},
                cwd=folder,
                stdout=subprocess.PIPE,
                check=True,
            )
            found[name] = json.loads(done.stdout.splitlines()[-1])
            stages = found[name]["stages"]
            stages[REST] = found[name]["total"] - sum(stages.values())
            stages["all"] = found[name]["total"]
    table = [
        [stage, *(f"{1e3 * found[name]['stages'][stage] / options.records:.3f}" for name in found)]
        for stage in (*STAGES, REST, "all")
    ]
    table.append(["records per CPU second", *(f"{options.records / found[n]['total']:.0f}" for n in found)])
    same = (
        "The content hash is the same."
        if len({f["hash"] for f in found.values()}) == 1
        else ("THE CONTENT HASHES DIFFER.")
    )
    save(
        "stages",
        "Where the CPU time of a build goes",
        ["stage", *(f"ms per record, {name}" for name in found)],
        table,
        f"{options.records:,} random records of mp_records.parquet, one worker, imports and the loading of "
        "compiled code included. " + (same if options.before else ""),
        measured=found,
    )


if __name__ == "__main__":
    main()
