"""The published split is reproduced from the published ids."""

import json
from pathlib import Path

import pyarrow.compute as pc

from mpclean.splits import read_split, shuffled
from mpclean.vocabulary.schema import PARTS


def test_split_algorithm_gives_the_published_lists(data: Path) -> None:
    folder = data / "mp_2021_05_ids"
    ids = json.loads(next(folder.glob("*_v2021_05.json")).read_bytes())
    published = read_split(folder)
    ours = shuffled(ids)
    assert read_split(next(folder.glob("*_v2021_05.json"))) == ours
    for split in PARTS:
        assert (
            ours.filter(pc.equal(ours["split"], split))["material_id"].to_pylist()
            == published.filter(pc.equal(published["split"], split))["material_id"].to_pylist()
        )
    assert published.num_rows == len(ids) == 78_649
