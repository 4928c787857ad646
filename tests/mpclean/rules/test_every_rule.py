"""What holds for every rule: nothing is lost, nothing is changed, and the order stays."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpclean.rules import RULES
from mpclean.rules.duplicate import Duplicate
from mpclean.vocabulary.schema import LEDGER

texts = st.sampled_from([None, "why", "why else"])
key = st.fixed_dictionaries(
    {
        "cell_formula": st.sampled_from(["Na1 Cl1", "Fe1"]),
        "spacegroup_number": st.integers(1, 2),
        "nsites": st.integers(1, 99),
        "formation_energy_per_atom": st.none() | st.integers(-2, 2).map(float),
        "structure_class": st.integers(0, 2),
        "structures_match": st.none() | st.booleans(),
        "reason": texts,
        "detail": texts,
    }
)
bonds = st.fixed_dictionaries(
    {"dimensionality": st.integers(0, 3), "n_components": st.integers(1, 3), "n_isolated": st.integers(0, 2)}
) | st.just({"reason": "no Voronoi tessellation", "detail": "Qhull"})


EVERY = [*(rule() for rule in RULES.values()), Duplicate("structure")]


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.title)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_records_and_ledger_are_the_input(keys, rule, data):
    found = data.draw(st.lists(st.tuples(key, bonds), max_size=12))
    rows = [
        {"material_id": f"mp-{data.draw(st.integers(0, 5)) if rule.name == 'record' else n}"}
        | (one if rule.name == "record" else one | {"reason": None, "detail": None})
        | (two if rule.after_bonds else {})
        for n, (one, two) in enumerate(found)
    ]
    table = keys(*rows)
    kept, dropped = rule.apply(table)
    assert kept.schema == table.schema
    assert dropped.schema == LEDGER
    assert sorted(kept["material_id"].to_pylist() + dropped["material_id"].to_pylist()) == sorted(
        row["material_id"] for row in rows
    )
    # Rows that stay are the rows they were, in their order.
    positions = kept["position"].to_pylist()
    assert positions == sorted(positions)
    assert kept.equals(table.take(pa.array(positions, pa.int64())))
    assert set(dropped["rule"].to_pylist()) <= {rule.name}
    assert None not in dropped["reason"].to_pylist()
    again, nothing = rule.apply(kept)
    assert again.equals(kept)
    assert nothing.num_rows == 0


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.title)
def test_it_reads_what_it_declares_and_nothing_else(keys, rule):
    """With the declared columns alone it says what it says with all of them."""
    rows = [
        {"material_id": f"mp-{n}", "nsites": 40 + n, "dimensionality": n % 4, "n_isolated": n % 2}
        | {
            "n_components": 1,
            "cell_formula": "Fe1",
            "spacegroup_number": n % 2,
            "formation_energy_per_atom": 0.0,
        }
        for n in range(20)
    ]
    table = keys(*rows)
    declared = {"position", "material_id", "nsites", *rule.columns}
    few = table.select([name for name in table.column_names if name in declared])
    kept, excluded = rule.apply(few)
    assert (kept["position"], excluded) == (rule.apply(table)[0]["position"], rule.apply(table)[1])


def test_names():
    assert list(RULES) == ["record", "duplicate", "size", "dimensionality", "graph"]
