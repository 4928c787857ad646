"""Warnings of predictions, counted by their kind."""

from pathlib import Path

import pyarrow as pa

from ecn.inference.inputs import ROWS
from ecn.inference.predict import _said
from ecn.inference.tables import WarningCounts


def counted(*warnings):
    rows = [
        {"file": "a.jsonl", "index": k, "material_id": f"mp-{k}", "rule": None, "warning": warning}
        for k, warning in enumerate(warnings)
    ]
    counts = WarningCounts(Path("a.jsonl"))
    counts.add(pa.Table.from_pylist(rows, schema=ROWS))
    return counts.lines()


def test_a_kind_is_a_line_with_its_first_crystal():
    assert counted(
        "elements not in the training set: Xe; trained on synthetic labels",
        "trained on synthetic labels",
        "partial occupancies (Fe 0.5, Ni 0.5)",
        "partial occupancies (Na 0.9)",
        "",
    ) == [
        "a.jsonl: elements not in the training set (mp-0, Xe)",
        "a.jsonl: trained on synthetic labels: 2 crystals, first mp-0",
        "a.jsonl: partial occupancies: 2 crystals, first mp-2, Fe 0.5, Ni 0.5",
    ]


def test_a_semicolon_within_a_warning_does_not_part_it():
    said = _said("record", "partial occupancies", "Fe 0.5, Ni 0.5; order the structure first")
    assert counted(said) == ["a.jsonl: partial occupancies (mp-0, Fe 0.5, Ni 0.5, order the structure first)"]
