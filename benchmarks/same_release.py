"""What differs between releases of the same source that two commits built, row by row and number by number.

Each commit builds the source by itself; the folders are compared here in pairs, without the code of either::

    python benchmarks/same_release.py --before COMMIT --after COMMIT BEFORE AFTER [BEFORE AFTER ...]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from common import save


def rows_of(release: Path) -> pa.Table:
    """All rows by id, with the part that their shard belongs to."""
    shards = []
    for path in sorted((release / "data").glob("*.parquet")):
        shard = pq.read_table(path)
        shards.append(shard.append_column("part", pa.array([path.name.partition("-")[0]] * len(shard))))
    return pa.concat_tables(shards).sort_by("material_id").combine_chunks()


def ledger_of(release: Path) -> pa.Table:
    """The ledger by id and rule."""
    table = pq.read_table(release / "ledger" / "excluded.parquet")
    return table.sort_by([("material_id", "ascending"), ("rule", "ascending")]).combine_chunks()


def largest_difference(before: pa.ChunkedArray, after: pa.ChunkedArray) -> float:
    """Largest difference of two columns of floats or lists of them; infinite where anything else differs."""
    if before.equals(after):
        return 0.0
    if pa.types.is_list(before.type):
        if not pc.list_value_length(before).equals(pc.list_value_length(after)):
            return np.inf
        before, after = pc.list_flatten(before), pc.list_flatten(after)
    if not pa.types.is_floating(before.type) or not before.is_valid().equals(after.is_valid()):
        return np.inf
    return float(pc.max(pc.abs(pc.subtract(before, after))).as_py())


def compare(before: Path, after: Path) -> list[str]:
    """One row of the table: source, kept ids, ledger, integers and labels, lattice, coordinates, lengths."""
    rows, ledgers = [rows_of(before), rows_of(after)], [ledger_of(before), ledger_of(after)]
    kept = [set(table["material_id"].to_pylist()) for table in rows]
    if kept[0] != kept[1]:
        return [after.name, f"{len(kept[0] ^ kept[1])} differ", *[""] * 6]
    verdicts = [name for name in ledgers[0].column_names if name != "detail"]
    if not ledgers[0].select(verdicts).equals(ledgers[1].select(verdicts)):
        return [after.name, f"the same {len(rows[0]):,}", "differs", *[""] * 5]
    n_details = pc.sum(pc.not_equal(*(pc.fill_null(table["detail"], "") for table in ledgers))).as_py()
    common = [name for name in rows[0].column_names if name in rows[1].column_names]
    apart = {name: largest_difference(rows[0][name], rows[1][name]) for name in common}
    more = sorted(set(rows[1].column_names) ^ set(rows[0].column_names))
    numbers = ("lattice", "frac_coords", "edge_length")
    others = [name for name in common if name not in numbers and apart[name] > 0]
    return [
        after.name,
        f"the same {len(rows[0]):,}",
        f"the same {len(ledgers[0]):,}" + (f", {n_details} details in other words" if n_details else ""),
        f"{', '.join(others)} differ" if others else f"the same, {len(common) - len(numbers)} columns",
        *(f"{apart[name]:.1e}" for name in numbers),
        ", ".join(more),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", required=True, help="the commit that built the first of each pair")
    parser.add_argument("--after", required=True, help="the commit that built the second")
    parser.add_argument("releases", nargs="+", type=Path)
    options = parser.parse_args()
    pairs = list(zip(options.releases[::2], options.releases[1::2], strict=True))
    hashes = {
        str(release): json.loads((release / "manifest.json").read_text())["content_hash"]
        for release in options.releases
    }
    save(
        "same_release",
        f"What commits {options.before} and {options.after} keep of the same source",
        [
            "release",
            "kept ids",
            "rows of the ledger",
            "edges, images, elements, labels, parts",
            "lattice differs by at most, A",
            "fractional coordinates",
            "lengths of edges, A",
            "in one of both only",
        ],
        [compare(*pair) for pair in pairs],
        "The content hash is over the bytes of all columns: it differs by the column that is new, and by the "
        "last digits of cells, which are computed without BLAS now. "
        + "; ".join(f"`{name}`: {value[:16]}" for name, value in hashes.items()),
        hashes=hashes,
    )


if __name__ == "__main__":
    main()
