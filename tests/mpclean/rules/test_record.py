"""Records that cannot be read, and ids that come again."""

from mpclean.rules.record import Record


def test_unreadable_records_leave_with_their_reason(keys):
    kept, dropped = Record().apply(
        keys(
            {"material_id": "mp-1"},
            {"material_id": "mp-2", "reason": "no structure", "detail": "line 2"},
            {"reason": "no id", "detail": "line 3"},
        )
    )
    assert kept["material_id"].to_pylist() == ["mp-1"]
    assert dropped.select(["material_id", "rule", "reason", "detail", "kept_id"]).to_pylist() == [
        {
            "material_id": "mp-2",
            "rule": "record",
            "reason": "no structure",
            "detail": "line 2",
            "kept_id": None,
        },
        {"material_id": None, "rule": "record", "reason": "no id", "detail": "line 3", "kept_id": None},
    ]


def test_first_readable_record_of_an_id_stays(keys):
    kept, dropped = Record().apply(
        keys(
            {"material_id": "mp-1", "reason": "no structure", "detail": "line 1"},
            {"material_id": "mp-1"},
            {"material_id": "mp-2"},
            {"material_id": "mp-1"},
            {"material_id": "mp-1", "reason": "label out of range", "detail": "line 5"},
        )
    )
    assert kept["position"].to_pylist() == [1, 2]
    assert dropped.select(["reason", "detail", "kept_id"]).to_pylist() == [
        {"reason": "no structure", "detail": "line 1", "kept_id": None},
        {"reason": "id seen twice", "detail": "record 3 of the source", "kept_id": "mp-1"},
        {"reason": "label out of range", "detail": "line 5", "kept_id": None},
    ]


def test_empty(keys):
    kept, dropped = Record().apply(keys())
    assert kept.num_rows == dropped.num_rows == 0


def test_nothing_readable(keys):
    kept, dropped = Record().apply(keys({"reason": "no id", "detail": ""}, {"reason": "no id", "detail": ""}))
    assert kept.num_rows == 0
    assert dropped.num_rows == 2


def test_name():
    assert Record.name == "record"
