"""The rows of added splits, in files that ``datasets.load_dataset`` can put a split together from.

The shards of a release are cut by the split that it was built with, and a configuration of
``load_dataset`` chooses whole files: it has no filter that differs between train and test
(`datasets.packaged_modules.parquet`, 5.2). So the rows that a command splits are written once more,
cut so finely that every part of every split it makes is a set of files: the three parts of one
split, the folds of k-fold, the steps of a learning curve.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tqdm import tqdm

from mpclean.release.layout import shard, split_rows
from mpclean.release.manifest import PartRows
from mpclean.release.reader import Release
from mpclean.release.writer import write_shards
from mpclean.vocabulary.schema import PARTS, schema


def write_rows(
    folder: Path, release: Release, base: str, tables: dict[str, pa.Table]
) -> dict[str, dict[str, PartRows]]:
    """Write the rows of splits that were made together.

    Parameters
    ----------
    folder
        Where the files go, under their names in the release: ``splits/BASE/...``.
    release
        The release with the rows.
    base
        The name that the splits share.
    tables
        The splits by name, with the columns of `mpclean.vocabulary.schema.SPLIT`.

    Returns
    -------
    For each split the rows of each part that has any.
    """
    tables = dict(sorted(tables.items()))  # the order in which names of files say the parts
    ids = release.table(columns=["material_id"])["material_id"].combine_chunks()
    cells, cell_of = np.unique(_places(ids, tables), axis=0, return_inverse=True)
    cell_of = cell_of.ravel()
    used = [k for k, cell in enumerate(cells) if cell.max() >= 0]  # a record may be in none of the splits
    names = {k: split_rows(base, [PARTS[place] if place >= 0 else None for place in cells[k]]) for k in used}
    sizes = dict.fromkeys(used, 0)

    def batches() -> Iterator[tuple[str, pa.Table]]:
        start = 0
        with tqdm(total=len(ids), desc="writing", unit=" crystals", disable=None) as bar:
            for rows in release.batches():
                here = cell_of[start : start + len(rows)]
                start += len(rows)
                for k in np.intersect1d(here, used).tolist():
                    part = rows.filter(pa.array(here == k))
                    sizes[k] += part.nbytes
                    yield names[k], part
                bar.update(len(rows))

    counts = {names[k]: int((cell_of == k).sum()) for k in used}
    whole = release.manifest.counts["default"].values()
    mean = sum(part.num_bytes for part in whole) / len(ids)
    shards = write_shards(folder, batches(), counts, mean, schema(*release.manifest.columns))

    written: dict[str, dict[str, PartRows]] = {}
    for column, split in enumerate(tables):
        written[split] = {}
        for place, part in enumerate(PARTS):
            held = [k for k in used if cells[k, column] == place]
            if held:
                written[split][part] = PartRows(
                    num_examples=sum(counts[names[k]] for k in held),
                    num_bytes=sum(sizes[k] for k in held),
                    files=[
                        shard(names[k], index, shards[names[k]])
                        for k in held
                        for index in range(shards[names[k]])
                    ],
                )
    return written


def _places(ids: pa.Array, tables: dict[str, pa.Table]) -> NDArray[np.int64]:
    """(N, S) place in `PARTS` of every record in every split, -1 where it is in none of its parts."""
    columns = []
    for table in tables.values():
        names = table["split"].take(pc.index_in(ids, table["material_id"].combine_chunks()))
        columns.append(pc.fill_null(pc.index_in(names, pa.array(PARTS)), -1).to_numpy())
    return np.stack(columns, axis=1).astype(np.int64)
