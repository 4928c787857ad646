"""What the size, dimensionality and graph rules say of records that the paper's authors kept.

The published list of 2021.05 holds what passed the authors' rules. Of the records of
mp_records.parquet that are on it nearly all must pass ours; of those not on it and within
the size limit, many were left out by one of these rules. Deduplication is left aside.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from common import data_folder, save

from mpclean.bonding.graph import MIN_AREA
from mpclean.engine import run
from mpclean.rules import RULES
from mpclean.schema import BONDS, KEY
from mpclean.sources.records import open_records
from mpclean.work import Bonds, BondTask, PrepareTask, bond, prepare


def verdicts(sample: int | None, workers: int) -> pa.Table:
    """Id, whether it is listed, atoms, and the rule each record leaves by (null: it stays)."""
    folder = data_folder()
    source = open_records(folder / "mp_records.parquet")
    batches = list(source.batches())
    if sample:
        chosen = np.random.default_rng(0).permutation(len(batches))[: -(-sample // 256)]
        batches = [batches[k] for k in sorted(chosen)]
    with tempfile.TemporaryDirectory() as scratch:
        starts = np.cumsum([0] + [batch.num_rows for batch in batches])
        tasks = [
            PrepareTask(batch, int(start), Path(scratch) / f"{k}.prepared")
            for k, (batch, start) in enumerate(zip(batches, starts, strict=False))
        ]
        keys = list(run(prepare, tasks, workers))
        small = [batch.filter(pc.less_equal(batch["nsites"], 50))["position"].to_numpy() for batch in keys]
        bonding = [
            BondTask(task.path, positions, task.path.with_suffix(".bonded"), Bonds("voronoi", MIN_AREA, 5.0))
            for task, positions in zip(tasks, small, strict=True)
        ]
        bonds = pa.Table.from_batches(list(run(bond, bonding, workers)), schema=BONDS)
    table = pa.Table.from_batches(keys, schema=KEY)
    kept, dropped = RULES["size"].apply(table)
    kept = kept.drop_columns(["reason", "detail"]).join(bonds, "position")
    left_by = [dropped]
    for name in ("dimensionality", "graph"):
        kept, dropped = RULES[name].apply(kept)
        left_by.append(dropped)
    ledger = pa.concat_tables(left_by).select(["material_id", "rule"])
    listed = json.loads(next((folder / "mp_2021_05_ids").glob("*_v2021_05.json")).read_bytes())
    table = table.select(["material_id", "nsites"]).join(ledger, "material_id")
    return table.append_column("listed", pc.is_in(table["material_id"], pa.array(listed)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="about this many records only, whole batches at random")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    table = verdicts(options.sample, options.workers)
    rows = []
    groups = {
        "on the published list": table.filter(table["listed"]),
        "not on it, at most 50 atoms": table.filter(
            pc.and_(pc.invert(table["listed"]), pc.less_equal(table["nsites"], 50))
        ),
    }
    for title, group in groups.items():
        passed = group["rule"].null_count
        by_rule = {r["values"]: r["counts"] for r in group["rule"].drop_null().value_counts().to_pylist()}
        rows.append(
            [
                title,
                f"{group.num_rows:,}",
                f"{passed:,}",
                f"{passed / group.num_rows:.3%}",
                *(f"{by_rule.get(name, 0):,}" for name in ("size", "dimensionality", "graph")),
            ]
        )
    save(
        "published_list",
        "Our rules on the records of the published 2021.05 list",
        ["records", "number", "pass", "share", "left by size", "by dimensionality", "by graph"],
        rows,
        "Aims: at least 99.9 % of the listed, 20 to 40 % of the others.",
    )


if __name__ == "__main__":
    main()
