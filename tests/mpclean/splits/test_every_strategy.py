"""What holds of every strategy, and what each promises, on the keys of made-up formulas."""

from itertools import combinations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mpclean import UserError
from mpclean.splits import STRATEGIES, shuffled
from mpclean.vocabulary.schema import PARTS, SPLIT

SYSTEMS = ["-".join(pair) for pair in combinations(("Al", "Cl", "Fe", "K", "Li", "Na", "O", "S"), 2)]
IDS = [f"mp-{k:03}" for k in range(280)]
GIVEN = {
    "leave-element-out": {"element": "Fe"},
    "learning-curve": {"of": "random"},
    "time": {"by": "id"},
    "published": {"lists": shuffled([*IDS, "mp-1000"], seed=5)},
}


def keys():
    groups = [SYSTEMS[k * k % len(SYSTEMS)] for k in range(len(IDS))]
    split = shuffled(IDS).sort_by("material_id")["split"]
    return pa.table({"material_id": IDS, "group": groups, "split": split})


def made(name, **options):
    strategy = STRATEGIES[name]
    return strategy.make(keys(), **{**strategy.options, **GIVEN.get(name, {}), **options})


def ids(table, split):
    return set(table.filter(pc.equal(table["split"], split))["material_id"].to_pylist())


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_record_has_one_place(name):
    for table in made(name).values():
        assert table.select(SPLIT.names).schema.types == SPLIT.types
        found = table["material_id"].to_pylist()
        assert len(set(found)) == len(found)
        assert set(found) == set(IDS) or (name == "learning-curve" and set(found) < set(IDS))
        assert all(ids(table, split) for split in PARTS)


@pytest.mark.parametrize("name", STRATEGIES)
def test_seed_determines_the_split(name):
    assert made(name) == made(name)
    if "seed" in STRATEGIES[name].options:
        assert made(name) != made(name, seed=1)


def test_leave_element_out():
    table = made("leave-element-out")[""]
    group = dict(zip(IDS, keys()["group"].to_pylist(), strict=True))
    assert ids(table, "test") == {i for i in IDS if "Fe" in group[i].split("-")}
    n_rest = len(IDS) - len(ids(table, "test"))
    assert len(ids(table, "validation")) == pytest.approx(n_rest / 9, abs=1)


def test_elements_that_cannot_be_left_out():
    for element in (None, "Xx", "fe"):
        with pytest.raises(UserError, match="needs --element with a symbol"):
            made("leave-element-out", element=element)
    with pytest.raises(UserError, match="--element Au: no record has it"):
        made("leave-element-out", element="Au")


def test_folds_are_each_test_once():
    tables = made("k-fold", folds=4)
    assert list(tables) == ["-1", "-2", "-3", "-4"]
    tests = [ids(table, "test") for table in tables.values()]
    assert sorted(i for test in tests for i in test) == IDS
    for k, table in enumerate(tables.values()):
        assert ids(table, "validation") == tests[(k + 1) % 4]
        assert len(ids(table, "test")) == 70


def test_folds_of_groups():
    """No group is in two folds, and sizes differ by at most the largest group."""
    group = dict(zip(IDS, keys()["group"].to_pylist(), strict=True))
    tests = [ids(table, "test") for table in made("k-fold", folds=4, group="chemical-system").values()]
    assert sorted(i for test in tests for i in test) == IDS
    systems = [{group[i] for i in test} for test in tests]
    assert sum(map(len, systems)) == len(set(group.values()))
    largest = max(list(group.values()).count(system) for system in SYSTEMS)
    sizes = [len(test) for test in tests]
    assert max(sizes) - min(sizes) <= largest
    with pytest.raises(UserError, match=r"--folds 20: .* one per chemical-system \(8\)"):
        made("k-fold", folds=20, group="chemical-system")


@pytest.mark.parametrize("folds", [2, 31])
def test_impossible_folds(folds):
    with pytest.raises(UserError, match=f"--folds {folds}: at least 3"):
        made("k-fold", folds=folds)


def test_learning_curve_is_nested():
    whole = shuffled(IDS)
    parts = [ids(whole, "train")]
    for end, table in made("learning-curve").items():
        parts.append(ids(table, "train"))
        assert parts[-1] < parts[-2]
        assert len(parts[-1]) == round(float(end[1:]) * len(parts[0]))
        for split in ("validation", "test"):
            assert ids(table, split) == ids(whole, split)
    assert len(parts) == 4
