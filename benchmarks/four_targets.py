"""Write the records of mp_records.parquet that have all four targets of the paper to a file.

The others pair structures and energies of different versions: good for trying the pipeline,
not for training.
"""

from __future__ import annotations

import sys

import pyarrow.dataset as ds
import pyarrow.parquet as pq
from common import data_folder

TARGETS = ("formation_energy_per_atom", "efermi", "total_magnetization", "band_gap")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/four_targets.py OUT.parquet")
    known = ds.field(TARGETS[0]).is_valid()
    for name in TARGETS[1:]:
        known &= ds.field(name).is_valid()
    table = ds.dataset(data_folder() / "mp_records.parquet").to_table(filter=known)
    pq.write_table(table, sys.argv[1])
    print(f"{sys.argv[1]}: {table.num_rows:,} records")


if __name__ == "__main__":
    main()
