"""Leakage, counted against a definition that looks at every pair."""

import numpy as np
import pyarrow as pa
import pytest

from mpclean.inspection.audit.leakage import leakage
from mpclean.vocabulary.schema import PARTS


def by_pairs(keys, split, level, part, other):
    """Records of a part whose key is that of any record of another part."""
    rows = list(zip(keys[level].to_pylist(), split, strict=True))
    known = [key for key, name in rows if name == other]
    return sum(key is not None and any(key == one for one in known) for key, name in rows if name == part)


@pytest.mark.parametrize("seed", range(5))
def test_every_pair(seed):
    rng = np.random.default_rng(seed)
    ids = [f"mp-{k:03}" for k in range(60)]
    columns = {"fine": rng.integers(0, 80, 60).astype(str), "coarse": rng.integers(0, 12, 60).astype(str)}
    columns["fine"] = [None if k % 7 == 0 else key for k, key in enumerate(columns["fine"])]
    keys = pa.table({"material_id": ids, **columns})
    split = rng.choice(PARTS, 60)
    order = rng.permutation(60)
    assigned = pa.table({"material_id": np.array(ids)[order], "split": split[order]})
    found = leakage(keys, assigned)
    for level in ("fine", "coarse"):
        assert found[level].keys() == {"validation", "test", "test_to_validation"}
        for name, counts in found[level].items():
            part, other = ("test", "validation") if name == "test_to_validation" else (name, "train")
            assert counts == {
                "records": int((split == part).sum()),
                "leaking": by_pairs(keys, split, level, part, other),
            }


def test_nothing_is_alike_to_a_record_without_a_key():
    keys = pa.table({"material_id": ["a", "b"], "level": pa.array([None, None], pa.string())})
    assigned = pa.table({"material_id": ["a", "b"], "split": ["train", "test"]})
    assert leakage(keys, assigned)["level"]["test"] == {"records": 1, "leaking": 0}


def test_records_that_a_split_leaves_out_do_not_count():
    keys = pa.table({"material_id": ["a", "b", "c"], "level": ["x", "x", "y"]})
    assigned = pa.table({"material_id": ["b", "c"], "split": ["test", "train"]})
    assert leakage(keys, assigned)["level"] == {
        "validation": {"records": 0, "leaking": 0},
        "test": {"records": 1, "leaking": 0},
        "test_to_validation": {"records": 1, "leaking": 0},
    }
