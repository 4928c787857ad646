"""Perov-5 as published; needs the real data folder."""

import os
from collections import Counter
from pathlib import Path

import orjson
import pytest

from mpclean.sources.perov5 import open_perov5

_BESIDE = Path(__file__).parents[2] / "../shared/data"
FOLDER = Path(os.environ.get("MPCLEAN_TEST_DATA", _BESIDE)) / "perov_5"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="no Perov-5 data: set MPCLEAN_TEST_DATA to the folder that holds perov_5/"
)


@pytest.fixture(scope="module")
def source():
    return open_perov5(FOLDER)


def test_published_split(source):
    split = source.published_split
    assert Counter(split["split"].to_pylist()) == {"train": 11356, "validation": 3787, "test": 3785}
    ids = split["material_id"].to_pylist()
    assert sorted(map(int, ids)) == list(range(1, 18929))


def test_every_row_is_a_document(source):
    documents = [
        orjson.loads(document)
        for batch in source.batches()
        for document in batch.column("document").to_pylist()
    ]
    assert len(documents) == source.n_documents == 18928
    assert [document["material_id"] for document in documents] == source.published_split[
        "material_id"
    ].to_pylist()
    first = documents[0]
    assert (first["material_id"], first["heat_all"], first["dir_gap"]) == ("6334", 2.72, 0.0)
    assert first["structure"].startswith("# generated using pymatgen\ndata_")
    for name in ("heat_all", "heat_ref", "dir_gap", "ind_gap"):
        assert all(isinstance(document[name], float) for document in documents)
