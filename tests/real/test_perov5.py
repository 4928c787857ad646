"""Perov-5 as published."""

from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pytest

import mpclean
from mpclean.crystal.crystal import Crystal
from mpclean.sources.base import Source
from mpclean.sources.perov5 import open_perov5


@pytest.fixture(scope="module")
def source(data: Path) -> Source:
    return open_perov5(data / "perov_5")


def test_published_split(source: Source) -> None:
    split = source.published_split
    assert Counter(split["split"].to_pylist()) == {"train": 11356, "validation": 3787, "test": 3785}
    ids = split["material_id"].to_pylist()
    assert sorted(map(int, ids)) == list(range(1, 18929))


def test_every_row_is_a_document(source: Source) -> None:
    documents = [
        orjson.loads(document)
        for batch in source.batches()
        for document in batch.column("document").to_pylist()
    ]
    assert len(documents) == source.n_documents == 18928
    assert [document["material_id"] for document in documents] == source.published_split[
        "material_id"
    ].to_pylist()
    assert all(document["heat_all"] is not None for document in documents)
    assert all("_cell_length_a" in document["structure"] for document in documents)


@pytest.mark.slow
def test_build_excludes_nothing_and_joins_every_neighbour_within_5_angstrom(
    data: Path, tmp_path: Path
) -> None:
    release = mpclean.build(
        version="perov-5", source=data / "perov_5", out=tmp_path / "perov-5", limit=512, workers=1
    )
    rows = release.table()
    assert rows.num_rows == 512
    assert release.ledger().num_rows == 0
    assert release.manifest.splits["train"] == 512  # the first rows of the source are its train rows
    assert rows["heat_all"].null_count == 0
    lengths = rows["edge_length"].combine_chunks().flatten().to_numpy()
    assert lengths.max() <= 5.0
    row = rows.slice(0, 1).to_pylist()[0]
    lattice, numbers, coords = (np.array(row[name]) for name in ("lattice", "atomic_numbers", "frac_coords"))
    structure = Crystal(lattice.reshape(3, 3), numbers, coords.reshape(-1, 3)).to_pymatgen()
    assert len(row["edge_source"]) == sum(len(found) for found in structure.get_all_neighbors(5.0))
