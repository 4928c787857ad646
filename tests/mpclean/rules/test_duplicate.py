"""One record for each formula and space group, or for each structure of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpclean.rules.duplicate import Duplicate, tied


def record(material_id, energy=None, cell="Na1 Cl1", group=225):
    return {
        "material_id": material_id,
        "formation_energy_per_atom": energy,
        "cell_formula": cell,
        "spacegroup_number": group,
    }


def kept_and_ledger(table, dedup="key"):
    kept, dropped = Duplicate(dedup).apply(table)
    return kept["material_id"].to_pylist(), {row["material_id"]: row for row in dropped.to_pylist()}


def test_lowest_energy_stays(keys):
    kept, ledger = kept_and_ledger(
        keys(
            record("mp-1", -1.0) | {"structures_match": False},
            record("mp-2", -1.5),
            record("mp-3", 2.0) | {"structure_class": 1},
            record("mp-4", -9.0, group=221),
        )
    )
    assert kept == ["mp-2", "mp-4"]
    assert set(ledger) == {"mp-1", "mp-3"}
    assert ledger["mp-1"] == {
        "material_id": "mp-1",
        "rule": "duplicate",
        "reason": "same formula and space group as a record of lower energy",
        "detail": "Na1 Cl1, space group 225",
        "kept_id": "mp-2",
        "energy_difference": 0.5,
        "structures_match": False,
    }
    assert ledger["mp-3"]["energy_difference"] == 3.5
    assert ledger["mp-3"]["structures_match"] is True


def test_ties_go_to_the_smallest_id_in_string_order(keys):
    kept, ledger = kept_and_ledger(keys(record("mp-9", -1.0), record("mp-10", -1.0), record("mvc-1", -1.0)))
    assert kept == ["mp-10"]
    assert {row["kept_id"] for row in ledger.values()} == {"mp-10"}
    assert {row["energy_difference"] for row in ledger.values()} == {0.0}


def test_no_energy_loses(keys):
    kept, ledger = kept_and_ledger(keys(record("mp-1"), record("mp-2", 40.0), record("mp-3")))
    assert kept == ["mp-2"]
    assert ledger["mp-1"]["kept_id"] == "mp-2"
    assert ledger["mp-1"]["energy_difference"] is None
    assert ledger["mp-1"]["reason"] == "same formula and space group as a record of lower energy"


def test_without_energies_none_is_said_to_be_lower(keys):
    kept, ledger = kept_and_ledger(keys(record("mp-2"), record("mp-1")))
    assert kept == ["mp-1"]
    assert ledger["mp-2"]["reason"] == "same formula and space group as another record, none with an energy"


def test_a_group_without_any_energy_keeps_the_smallest_id(keys):
    kept, ledger = kept_and_ledger(keys(record("mp-2"), record("mp-10"), record("mp-3")))
    assert kept == ["mp-10"]
    assert {row["energy_difference"] for row in ledger.values()} == {None}


@pytest.mark.parametrize("other", [{"cell": "Na2 Cl2"}, {"group": 216}])
def test_formula_is_not_reduced_and_the_space_group_counts(keys, other):
    table = keys(record("mp-1", -1.0), record("mp-2", -2.0, **other))
    assert kept_and_ledger(table) == (["mp-1", "mp-2"], {})


def test_empty(keys):
    kept, dropped = Duplicate().apply(keys())
    assert kept.num_rows == dropped.num_rows == 0


rows = st.lists(
    st.tuples(
        st.sampled_from(["Na1 Cl1", "Na2 Cl2", "Fe1"]),
        st.sampled_from([1, 2, 225]),
        st.none() | st.sampled_from([-1.0, 0.0, -0.0, 0.5]),
    ),
    max_size=14,
)


@settings(max_examples=80, deadline=None)
@given(rows, st.randoms(use_true_random=False), st.integers(1, 5))
def test_against_a_plain_loop(keys, found, random, chunk):
    ids = random.sample([f"mp-{i}" for i in range(100)], len(found))
    table = keys(
        *(record(i, energy, cell, group) for i, (cell, group, energy) in zip(ids, found, strict=True))
    )
    best = {}
    for i, (cell, group, energy) in zip(ids, found, strict=True):
        rank = (energy is None, energy or 0.0, i)
        best[cell, group] = min(best.get((cell, group), (True, 99.0, "z")), rank)
    winners = {rank[2] for rank in best.values()}
    # The result does not depend on how the table is chunked.
    pieces = type(table).from_batches(table.to_batches(max_chunksize=chunk), schema=table.schema)
    kept, ledger = kept_and_ledger(pieces)
    assert kept == [i for i in ids if i in winners]  # in the order of the source
    assert set(ledger) == set(ids) - winners
    for i, (cell, group, energy) in zip(ids, found, strict=True):
        if i in ledger:
            _, lowest, winner = best[cell, group]
            assert ledger[i]["kept_id"] == winner
            difference = ledger[i]["energy_difference"]
            assert difference == (None if energy is None else energy - lowest)


def of_three_structures(keys):
    """Five records of one key in three structures, one of them not comparable; -2.0 is of another key."""
    return keys(
        record("mp-1", -1.0) | {"structure_class": 2, "structures_match": True},
        record("mp-2", -0.5) | {"structure_class": 3, "structures_match": False},
        record("mp-3", -1.5) | {"structure_class": 2},
        record("mp-4", -0.9) | {"structure_class": 3, "structures_match": False},
        record("mp-5", -1.2) | {"structure_class": 4, "structures_match": None},
        record("mp-6", -2.0, group=1) | {"structure_class": 5},
    )


def test_by_structure_only_equal_ones_leave(keys):
    kept, ledger = kept_and_ledger(of_three_structures(keys), "structure")
    assert kept == ["mp-3", "mp-4", "mp-5", "mp-6"]
    assert {i: (row["kept_id"], row["structures_match"]) for i, row in ledger.items()} == {
        "mp-1": ("mp-3", True),
        "mp-2": ("mp-4", True),
    }
    assert ledger["mp-1"]["reason"] == "same formula, space group and structure as a record of lower energy"
    assert ledger["mp-2"]["energy_difference"] == pytest.approx(0.4)


def test_by_key_all_leave_each_with_its_verdict(keys):
    kept, ledger = kept_and_ledger(of_three_structures(keys))
    assert kept == ["mp-3", "mp-6"]
    assert {i: row["structures_match"] for i, row in ledger.items()} == {
        "mp-1": True,
        "mp-2": False,
        "mp-4": False,
        "mp-5": None,
    }
    assert {row["kept_id"] for row in ledger.values()} == {"mp-3"}
    assert {i: row["detail"] for i, row in ledger.items() if i in ("mp-4", "mp-5")} == {
        "mp-4": "Na1 Cl1, space group 225",
        "mp-5": "Na1 Cl1, space group 225; structures beyond what is compared",
    }


def test_records_that_share_their_key(keys):
    rows, counts = tied(
        keys(
            record("mp-1", -1.0, group=221),
            record("mp-2", 0.0),
            record("mp-3", -3.0, cell="Fe1"),
            record("mp-4"),
            record("mp-5", -1.0),
            record("mp-6", -2.0, group=221),
        )
    )
    groups = [rows[end - count : end].tolist() for count, end in zip(counts, counts.cumsum(), strict=True)]
    assert groups == [[5, 0], [4, 1, 3]]


@pytest.mark.parametrize("rows", [[], [record("mp-1"), record("mp-2", cell="Fe1")]])
def test_no_record_shares_its_key(keys, rows):
    found, counts = tied(keys(*rows))
    assert len(found) == len(counts) == 0


def test_what_it_needs():
    for rule in (Duplicate(), Duplicate("structure")):
        assert rule.name == "duplicate"
        assert rule.after_matches
        assert not rule.after_bonds
        assert not rule.of_one
