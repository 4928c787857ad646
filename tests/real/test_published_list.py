"""Records that the paper's authors kept pass our rules, and the published split is reproduced."""

import json
from pathlib import Path

import pyarrow.compute as pc
import pytest

from mpclean.schema import SPLITS
from mpclean.splits import read_split, shuffled


@pytest.mark.slow
def test_rules_agree_with_the_published_list(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The whole file is benchmarks/published_list.py; a sample of whole batches is enough to notice a change.
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    monkeypatch.setenv("MPCLEAN_TEST_DATA", str(data))
    import published_list

    table = published_list.verdicts(sample=5000, workers=1)
    listed = table.filter(table["listed"])
    others = table.filter(pc.and_(pc.invert(table["listed"]), pc.less_equal(table["nsites"], 50)))
    assert listed.num_rows > 2500
    assert listed["rule"].null_count / listed.num_rows >= 0.999
    assert 0.20 <= others["rule"].null_count / others.num_rows <= 0.40


def test_split_algorithm_gives_the_published_lists(data: Path) -> None:
    folder = data / "mp_2021_05_ids"
    ids = json.loads(next(folder.glob("*_v2021_05.json")).read_bytes())
    published = read_split(folder)
    ours = shuffled(ids)
    assert read_split(next(folder.glob("*_v2021_05.json"))) == ours
    for split in SPLITS:
        assert (
            ours.filter(pc.equal(ours["split"], split))["material_id"].to_pylist()
            == published.filter(pc.equal(published["split"], split))["material_id"].to_pylist()
        )
    assert published.num_rows == len(ids) == 78_649
