"""The records of mp_records.parquet that are fit for training, and the published split of them.

Fit are those that have all four targets of the paper: the others pair structures and energies of
different versions, good for trying the pipeline, not for training. The test rows of the paper are
not in the file, so its validation rows are the test rows here, and a validation part is cut from
its training rows::

    python benchmarks/four_targets.py FOLDER
    mpclean build --source FOLDER/records.parquet --split FOLDER/split.parquet --out releases/mp-four-targets
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from common import data_folder

TARGETS = ("formation_energy_per_atom", "efermi", "total_magnetization", "band_gap")

#: Share of the published training rows that becomes the validation part, and the seed of its draw.
VALIDATION, SEED = 0.1, 0


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/four_targets.py FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    known = ds.field(TARGETS[0]).is_valid()
    for name in TARGETS[1:]:
        known &= ds.field(name).is_valid()
    records = ds.dataset(data_folder() / "mp_records.parquet").to_table(filter=known)
    pq.write_table(records, folder / "records.parquet")
    split = published_split(records["material_id"])
    pq.write_table(split, folder / "split.parquet")
    counts = {entry["values"]: entry["counts"] for entry in split["split"].value_counts().to_pylist()}
    print(f"{folder}: {records.num_rows:,} records; on the published lists: {counts}")


def published_split(material_ids: pa.ChunkedArray) -> pa.Table:
    """The published lists of train and valid, of the ids that are there, as train, validation and test."""
    here = set(material_ids.to_pylist())
    train, test = (
        [
            i
            for i in json.loads(next(data_folder().glob(f"mp_2021_05_ids/*_{part}.json")).read_bytes())
            if i in here
        ]
        for part in ("train", "valid")
    )
    Random(SEED).shuffle(train)
    n_validation = round(VALIDATION * len(train))
    names = ["validation"] * n_validation + ["train"] * (len(train) - n_validation) + ["test"] * len(test)
    return pa.table({"material_id": [*train, *test], "split": names})


if __name__ == "__main__":
    main()
