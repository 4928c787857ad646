"""The few records that stand for what a rule dropped."""

import pyarrow as pa

import mpclean
from mpclean.pipeline.examples import PER_REASON, chosen
from mpclean.vocabulary.schema import EXAMPLE, LEDGER


def ledger(*rows):
    """Of ``(id, rule, reason, energy difference)``, and of duplicates the verdict on their structures."""
    names = ("material_id", "rule", "reason", "energy_difference", "structures_match")
    return pa.Table.from_pylist([dict(zip(names, row, strict=False)) for row in rows], schema=LEDGER)


def test_the_first_of_each_reason_stand_for_it():
    rows = [(f"mp-{k}", "graph", ("an atom has no bond", "not connected")[k % 2], None) for k in range(20)]
    found = chosen(ledger(*rows)).to_pylist()
    assert [row["material_id"] for row in found] == [f"mp-{k}" for k in range(2 * PER_REASON)]
    assert all(row["reason"] == rows[k][2] for k, row in enumerate(found))


def test_duplicates_that_are_far_in_energy_stand_for_all():
    energies = [0.0, None, 0.3, 0.1, 0.0, 2.0, 0.2, None]
    rows = [(f"mp-{k}", "duplicate", "same", energy) for k, energy in enumerate(energies)]
    assert chosen(ledger(*rows))["material_id"].to_pylist() == ["mp-2", "mp-3", "mp-5", "mp-6"]


def test_every_verdict_on_duplicates_has_its_own():
    said = [True, False, None]
    rows = [(f"mp-{k}", "duplicate", "same", k / 100, said[k % 3]) for k in range(30)]
    found = chosen(ledger(*rows))["material_id"].to_pylist()
    assert found == [f"mp-{k}" for k in range(30 - 3 * PER_REASON, 30)]


def test_unreadable_records_have_no_crystal():
    assert (
        chosen(ledger((None, "record", "no id", None), ("mp-1", "record", "id seen twice", None))).num_rows
        == 0
    )
    assert chosen(LEDGER.empty_table()).num_rows == 0


def test_every_reason_of_a_release_has_examples(every_case, tmp_path):
    release = mpclean.build(source=every_case, out=tmp_path / "cases", workers=1)
    examples = release.examples()
    assert examples.schema.equals(EXAMPLE)
    left = {(row["rule"], row["reason"]) for row in release.ledger().to_pylist() if row["rule"] != "record"}
    assert {(row["rule"], row["reason"]) for row in examples.to_pylist()} == left
    assert len(left) > 4
    ids = examples["material_id"].to_pylist()
    assert len(set(ids)) == len(ids)
    # In their primitive cells, for which the rules took them.
    for row in examples.to_pylist():
        assert 3 * row["nsites"] == len(row["frac_coords"]) == 3 * len(row["atomic_numbers"])
        assert (row["nsites"] > 50) == (row["rule"] == "size")
