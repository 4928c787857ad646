"""A difference finds what was planted, and nothing else."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import mpclean
from mpclean import UserError
from mpclean.cli import main
from mpclean.inspection.diff import TOLERANCES, diff
from mpclean.vocabulary.schema import COLUMNS

N = 10


def ids(table):
    found = table["material_id"].to_pylist()
    assert len(set(found)) == len(found)
    return set(found)


def run(*arguments):
    return CliRunner().invoke(main, ["diff", *map(str, arguments)], catch_exceptions=False)


def test_a_release_against_itself(split_release):
    found = diff(split_release.path, split_release.path)
    assert not found
    assert (found.level, found.version) == (None, "1.0.0")
    assert found.changed == found.moved == found.ledger_changed == {}


def test_order_and_row_groups_are_no_difference(content, tmp_path):
    first = content.write(tmp_path / "a", np.random.default_rng(1), row_group=5)
    second = content.write(tmp_path / "b", np.random.default_rng(2), row_group=64)
    assert not first.table().equals(second.table())
    found = diff(first.path, second.path)
    assert not found
    assert (found.level, found.version) == ("patch", "1.0.1")  # other files
    done = run(first.path, second.path)
    assert done.exit_code == 0
    assert "no record differs; version 1.0.0 -> 1.0.1 (patch: " in done.stdout


def changed_value(value, name):
    """Another value of a column, further away than the tolerance."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value + 2 * TOLERANCES[COLUMNS[name].unit]
    return value + 1 if isinstance(value, int) else f"{value}?"


def plant(a, b, rng):
    """Change `b` against `a` in every way, ten records each; what was changed.

    Ways that can meet in one record do.
    """
    names = rng.permutation(sorted(a.rows))
    came, went, both = set(names[:N]), set(names[N : 2 * N]), names[2 * N :]
    for name in came:
        del a.rows[name]
        for parts in a.splits.values():
            parts.pop(name, None)
    for name in went:
        del b.rows[name]
        for parts in b.splits.values():
            parts.pop(name, None)

    def draw(which=lambda row: True):
        eligible = [name for name in both if which(b.rows[name])]
        return set(rng.choice(eligible, N, replace=False))

    def of_list(name, change, which=lambda row: True):
        chosen = draw(which)
        for material_id in chosen:
            b.rows[material_id][name] = change(list(b.rows[material_id][name]))
        return chosen

    planted = {}
    for name in a.schema.names[1:]:
        if not pa.types.is_list(COLUMNS[name].type):
            planted[name] = draw(lambda row, name=name: row[name] is not None)
            for k, material_id in enumerate(sorted(planted[name])):
                old = b.rows[material_id][name]
                loses = k == 0 and name not in ("nsites", "spacegroup_number")
                b.rows[material_id][name] = None if loses else changed_value(old, name)

    def one(step):
        def change(values):
            place = rng.integers(len(values))
            values[place] += step
            return values

        return change

    far = 2 * TOLERANCES["A"]
    planted["structure"] = (
        of_list("lattice", lambda values: [values[0] + far, *values[1:]])
        | of_list("frac_coords", one(0.01))
        | of_list("atomic_numbers", one(1))
    )
    planted["bonds"] = (
        of_list("edge_length", one(far))
        | of_list("edge_image", one(1))
        | of_list("edge_target", lambda values: values[::-1], lambda row: len(set(row["edge_target"])) > 1)
    )
    shorter = draw(lambda row: len(row["edge_source"]) > 4)
    for material_id in shorter:
        row = b.rows[material_id]
        for name, width in (("edge_source", 1), ("edge_target", 1), ("edge_image", 3), ("edge_length", 1)):
            row[name] = row[name][: -2 * width]
    planted["bonds"] |= shorter
    moments = draw()
    for material_id in moments:
        row = b.rows[material_id]
        row["magnetic_moments"] = [0.5] * row["nsites"] if row["magnetic_moments"] is None else None
    planted["magnetic_moments"] = moments

    moved = {}
    for strategy, parts in b.splits.items():
        moved[strategy] = set(rng.choice([name for name in both if name in parts], N, replace=False))
        for material_id in moved[strategy]:
            parts[material_id] = {"train": "test", "test": "validation", "validation": "train"}[
                parts[material_id]
            ]
    # One record is left out of the second split.
    (left_out,) = rng.choice(sorted(moved["leave-element-out"]), 1)
    del b.splits["leave-element-out"][left_out]
    return came, went, planted, moved


@pytest.mark.parametrize("seed", range(4))
def test_what_was_planted(content, other_content, tmp_path, seed):
    rng = np.random.default_rng(seed)
    a, b = content, other_content
    for name in rng.choice(sorted(a.rows), N, replace=False):  # in no part of a split, on both sides
        for some in (a, b):
            some.splits["leave-element-out"].pop(name)
    came, went, planted, moved = plant(a, b, rng)
    # Below the tolerance everything may change.
    for row in b.rows.values():
        for name, value in row.items():
            if isinstance(value, float) and row[name] == a.rows.get(row["material_id"], {}).get(name):
                row[name] = value + 0.4 * TOLERANCES[COLUMNS[name].unit]
        row["lattice"] = [x + 0.2 * TOLERANCES["A"] for x in row["lattice"]]
    # Who left, and how: of a half of those that came it is known that they had left.
    known = sorted(came)[: N // 2]
    a.ledger += [
        {"material_id": name, "rule": "size", "reason": "too large", "detail": "51"} for name in known
    ]
    named = [place for place, row in enumerate(b.ledger) if row["material_id"]]
    places = rng.permutation(named)
    ledger_came, ledger_went = places[:N], places[N : 2 * N]
    rest = places[2 * N :]
    changes = {}
    for name in ("rule", "reason", "kept_id", "energy_difference", "structures_match"):
        chosen = rng.choice(rest, N, replace=False)
        changes[name] = {b.ledger[place]["material_id"] for place in chosen}
        for place in chosen:
            old = b.ledger[place][name]
            new = {"energy_difference": 0.7, "structures_match": True}.get(name, "other")
            if isinstance(old, bool):
                new = not old
            elif isinstance(old, float):
                new = old + 2 * TOLERANCES["eV/atom"]
            b.ledger[place][name] = new
    for row in b.ledger:
        row["detail"] = "found otherwise"
    came_ids = {b.ledger[place]["material_id"] for place in ledger_came}
    went_ids = {a.ledger[place]["material_id"] for place in ledger_went}
    a.ledger = [row for place, row in enumerate(a.ledger) if place not in ledger_came]
    b.ledger = [row for place, row in enumerate(b.ledger) if place not in ledger_went]

    first, second = a.write(tmp_path / "a", rng, 7), b.write(tmp_path / "b", rng, 11)
    found = diff(first.path, second.path)
    assert found
    assert ids(found.came) == came
    assert {row["material_id"] for row in found.came.to_pylist() if row["rule"] == "size"} == set(known)
    assert ids(found.went) == went
    assert {name: ids(table) for name, table in found.moved.items()} == moved
    assert {name: ids(table) for name, table in found.changed.items()} == planted
    assert ids(found.ledger_came) == came_ids
    assert ids(found.ledger_went) == went_ids
    assert {name: ids(table) for name, table in found.ledger_changed.items()} == changes
    for name, table in found.changed.items():
        if "a" in table.column_names and name != "bonds":
            for row in table.to_pylist():
                assert row["a"] == a.rows[row["material_id"]][name]
                assert row["b"] == b.rows[row["material_id"]][name]
    for name, table in found.moved.items():
        for row in table.to_pylist():
            assert row["a"] == a.splits[name].get(row["material_id"])
            assert row["b"] == b.splits[name].get(row["material_id"])
    assert found.level == "major"
    turned = diff(second.path, first.path)
    assert ids(turned.came) == went
    assert ids(turned.ledger_went) == came_ids
    assert {name: ids(table) for name, table in turned.changed.items()} == planted


def test_numbers_of_a_difference(content, other_content, tmp_path, rng):
    name, other = sorted(content.rows)[:2]
    old, row = content.rows[name], other_content.rows[name]
    row["lattice"] = (1.01 * np.array(row["lattice"])).tolist()
    longest = np.linalg.norm(np.reshape(row["lattice"], (3, 3)), axis=1).max() / 1.01
    row["edge_length"] = [*row["edge_length"][:-1], row["edge_length"][-1] + 0.25]
    other_content.rows[other]["edge_source"] = []
    found = diff(content.write(tmp_path / "a", rng).path, other_content.write(tmp_path / "b", rng).path)
    (structure,) = found.changed["structure"].to_pylist()
    assert structure == {"material_id": name, "difference": pytest.approx(0.01 * longest)}
    bonds = {entry["material_id"]: entry for entry in found.changed["bonds"].to_pylist()}
    n_bonds = len(old["edge_source"]) / 2
    assert bonds[name] == {
        "material_id": name, "a": n_bonds, "b": n_bonds, "difference": pytest.approx(0.25, abs=1e-6),
    }  # fmt: skip
    assert (bonds[other]["b"], bonds[other]["difference"]) == (0, None)


def test_an_image_is_the_same_atom(content, other_content, tmp_path, rng):
    """Coordinates just below 0 and just below 1 are a small step apart."""
    for row in other_content.rows.values():
        row["frac_coords"] = [
            x + step for x, step in zip(row["frac_coords"], (1, 0, -1, 0, 2, 0), strict=True)
        ]
    assert not diff(content.write(tmp_path / "a", rng).path, other_content.write(tmp_path / "b", rng).path)


def test_not_a_number(content, other_content, tmp_path, rng):
    """It is the same as itself, and differs from every number."""
    one, two, three = sorted(content.rows)[:3]
    content.rows[one]["efermi"] = other_content.rows[one]["efermi"] = float("nan")
    other_content.rows[two]["efermi"] = float("nan")
    content.rows[one]["magnetic_moments"] = other_content.rows[one]["magnetic_moments"] = [float("nan"), 0.0]
    other_content.rows[three]["magnetic_moments"][0] = float("nan")
    found = diff(content.write(tmp_path / "a", rng).path, other_content.write(tmp_path / "b", rng).path)
    assert {name: ids(table) for name, table in found.changed.items()} == {
        "efermi": {two}, "magnetic_moments": {three},
    }  # fmt: skip


def test_tolerance(content, other_content, tmp_path, rng):
    name = min(content.rows)
    other_content.rows[name]["efermi"] += 0.01
    a, b = content.write(tmp_path / "a", rng), other_content.write(tmp_path / "b", rng)
    for value, exit_code in ((0.009, 1), (0.011, 0)):
        done = run(a.path, b.path, "--tolerance", f"eV={value}")
        assert done.exit_code == exit_code
        assert f"{value:g} eV," in done.stdout
    assert run(a.path, b.path, "--tolerance", "eV/atom=1").exit_code == 1


@pytest.mark.parametrize("text", ["eV", "eV=", "=1", "eV=-1", "eV=nan", "eV=inf", "hartree=1"])
def test_no_tolerance(split_release, text):
    done = run(split_release.path, split_release.path, "--tolerance", text)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert text in done.stderr or "unknown unit 'hartree'; known: A, eV" in done.stderr


def version(a, b):
    found = diff(a.path, b.path)
    return found.level, found.version


def without(content, part):
    """The content without the records of a part of the split of the build."""
    built = content.release.splits[0]
    for name in [name for name, found in content.splits[built].items() if found == part]:
        del content.rows[name]
        for parts in content.splits.values():
            parts.pop(name, None)
    return content


@pytest.mark.slow
def test_versions(content, other_content, tmp_path, rng, reseal):
    """The rule of Croissant 1.1: what adds is minor where the old data can be had without it."""
    name = min(content.rows)
    whole = content.write(tmp_path / "whole", rng)

    no_test = without(other_content, "test").write(tmp_path / "no-test", rng)
    assert version(whole, no_test) == ("major", "2.0.0")
    added = "leave-element-out"
    assert no_test.assigned(added)["split"].to_pylist().count("train")
    reason = next(words for _, words in diff(no_test.path, whole.path).reasons if "came into train" in words)
    assert f"train of {added}" in reason
    assert "of random" not in reason  # whose test was empty
    assert version(no_test, whole) == ("major", "2.0.0")

    everywhere = content.splits[added]
    content.splits[added] = {key: everywhere[key] for key in other_content.splits[added]}
    test_added = content.write(tmp_path / "test-added", rng)
    assert version(no_test, test_added) == ("minor", "1.1.0")  # all came into a part that was empty
    content.splits[added] = everywhere

    content.changes = {"release_version": "1.2.3"}
    row, parts = content.rows.pop(name), {key: found.pop(name, None) for key, found in content.splits.items()}
    fewer = content.write(tmp_path / "fewer", rng)
    assert version(fewer, whole) == ("major", "2.0.0")  # train cannot be had without it any more
    assert {level for level, _ in diff(fewer.path, whole.path).reasons} == {"major"}
    content.rows[name] = row
    content.splits["random"][name] = parts["random"]
    content.splits["leave-element-out"] = {}
    content.splits.pop("leave-element-out")
    content.changes["more_splits"] = {}
    one_split = content.write(tmp_path / "one", rng)
    assert version(one_split, whole) == ("minor", "1.3.0")  # another split
    assert version(whole, one_split) == ("major", "2.0.0")

    place = content.schema.get_field_index("efermi")
    content.schema = content.schema.remove(place)
    narrow = content.write(tmp_path / "narrow", rng)
    assert version(narrow, one_split) == ("minor", "1.3.0")  # another column
    assert version(one_split, narrow) == ("major", "2.0.0")
    assert diff(one_split.path, narrow.path).columns == {"came": [], "went": ["efermi"]}

    content.ledger = content.ledger[:-1]
    shorter = content.write(tmp_path / "shorter", rng)
    assert version(shorter, narrow) == ("minor", "1.3.0")
    assert version(narrow, shorter) == ("major", "2.0.0")

    path = shorter.path / "ledger" / "excluded.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["energy_difference"]), path)
    narrow_ledger = mpclean.open_release(reseal(shorter.path))
    assert version(narrow_ledger, content.write(tmp_path / "as-before", rng)) == ("minor", "1.3.0")
    shorter = content.write(tmp_path / "once-more", rng)

    content.changes["release_version"] = "1.2.4"
    assert version(shorter, content.write(tmp_path / "renamed", rng)) == ("patch", "1.2.4")
    assert version(whole, whole) == (None, "1.0.0")


def test_what_was_built_otherwise(content, other_content, tmp_path, rng):
    """It is told, and is no difference of records."""
    manifest = content.release.manifest.model_dump(mode="json", exclude_unset=True)
    other_content.changes = {
        "parameters": manifest["parameters"] | {"min_area": 0.5, "new": 3},
        "libraries": manifest["libraries"] | {"spglib": "9.9"},
    }
    a, b = content.write(tmp_path / "a", rng), other_content.write(tmp_path / "b", rng)
    found = diff(a.path, b.path)
    assert found.built == {
        "min_area": {"a": manifest["parameters"]["min_area"], "b": 0.5},
        "new": {"a": None, "b": 3},
        "spglib": {"a": manifest["libraries"]["spglib"], "b": "9.9"},
    }
    assert not found
    assert found.level == "patch"
    done = run(a.path, b.path)
    assert done.exit_code == 0
    assert "built with another min_area: 0.0001 -> 0.5\n" in done.stdout


def test_a_reshuffled_split_is_major(content, other_content, tmp_path, rng):
    parts = other_content.splits["random"]
    shuffled = dict(zip(parts, rng.permutation(list(parts.values())).tolist(), strict=True))
    other_content.splits["random"] = shuffled
    found = diff(content.write(tmp_path / "a", rng).path, other_content.write(tmp_path / "b", rng).path)
    assert (found.level, found.version) == ("major", "2.0.0")
    moved = {row["material_id"]: (row["a"], row["b"]) for row in found.moved["random"].to_pylist()}
    assert moved == {name: (part, shuffled[name]) for name, part in parts.items() if part != shuffled[name]}
    assert found.changed == {}


def test_command(content, other_content, tmp_path, rng):
    came, went, planted, _ = plant(content, other_content, rng)
    a, b = content.write(tmp_path / "a", rng), other_content.write(tmp_path / "b", rng)
    done = run(a.path, b.path)
    assert done.exit_code == 1
    rows = {line.rsplit("  10 ", 1)[0].strip() for line in done.stdout.splitlines() if "  10  " in line}
    assert {"came", "went", "moved in random", "changed efermi (eV)", "changed formula"} <= rows
    assert "\nversion 1.0.0 -> 2.0.0 (major: 10 records went; " in done.stdout
    as_json = run(a.path, b.path, "--json")
    assert as_json.exit_code == 1
    printed = json.loads(as_json.stdout)
    assert printed["differ"]
    assert {row["material_id"] for row in printed["came"]} == came
    assert {row["material_id"] for row in printed["went"]} == went
    assert {name: len(rows) for name, rows in printed["changed"].items()} == {
        name: len(expected) for name, expected in planted.items()
    }
    assert printed["tolerance"]["A"] == TOLERANCES["A"]
    assert (printed["level"], printed["version"]) == ("major", "2.0.0")


def test_records_without_an_id_and_namesakes(content, other_content, tmp_path, rng):
    """They have no id to be joined by, or one that others have too; their numbers are compared."""
    nameless = {"material_id": None, "rule": "record", "reason": "no id", "detail": "line 3"}
    name = min(content.rows)
    again = {"material_id": name, "rule": "record", "reason": "id seen twice", "kept_id": name}
    for some in (content, other_content):
        some.ledger += [nameless, nameless, again]
    other_content.ledger.append(nameless | {"detail": "line 9"})
    a, b = content.write(tmp_path / "a", rng), other_content.write(tmp_path / "b", rng)
    found = diff(a.path, b.path)
    assert found.ledger_came.to_pylist() == [{"material_id": None, "rule": "record", "reason": "no id"}]
    assert found.ledger_went.num_rows == 0
    assert found.ledger_changed == {}
    # One that was kept beside its namesake, and then left: the namesake is no new one.
    del other_content.rows[name]
    for parts in other_content.splits.values():
        parts.pop(name, None)
    other_content.ledger = [*content.ledger, {"material_id": name, "rule": "graph", "reason": "no bond"}]
    found = diff(a.path, other_content.write(tmp_path / "c", rng).path)
    assert found.went.to_pylist() == [{"material_id": name, "rule": "graph", "reason": "no bond"}]
    assert found.ledger_came.num_rows == found.ledger_went.num_rows == 0
    assert found.ledger_changed == {}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_snapshot_of_the_same_records(small_release, snapshot):
    for pair in ((small_release.path, snapshot), (snapshot, small_release.path)):
        found = diff(*pair, workers=1)
        assert not found
        assert found.version is None
    done = run(small_release.path, snapshot, "--workers", 1)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == (
        "no record differs; a snapshot has no version, and holds what rules exclude"
    )


def test_a_snapshot_of_other_records(rock_salt, write_lines, tmp_path):
    """Of a snapshot it is compared which records can be read, and their crystals and labels."""
    before = [*map(rock_salt, range(12)), rock_salt(4, material_id="mp-99", formation_energy_per_atom=5.0)]
    before += [{"material_id": "mp-77"}, {"material_id": "mp-78"}]
    after = [*map(rock_salt, range(2, 15)), *before[12:14]]
    after[0] = rock_salt(2, efermi=9.0)
    stretched = rock_salt(3)
    matrix = np.array(stretched["structure"]["lattice"]["matrix"])
    stretched["structure"]["lattice"]["matrix"] = (matrix * 1.01).tolist()
    after[1] = stretched
    after[2] = {"material_id": "mp-5", "structure": None}  # one that was kept
    after[3] = rock_salt(5, spacegroup_number=216)
    after += [
        rock_salt(6, efermi=77.0),
        {"material_id": "mp-79"},
    ]  # the second record of an id does not count
    release = mpclean.build(source=write_lines(tmp_path / "a.jsonl", before), out=tmp_path / "a", workers=1)
    assert release.ledger()["rule"].to_pylist().count("duplicate") == 1
    path = write_lines(tmp_path / "b.jsonl", after)
    found = diff(release.path, path, workers=1)
    assert found.came.to_pylist() == [
        {"material_id": f"mp-{n}", "rule": None, "reason": None} for n in (13, 14, 15)
    ]
    assert {row["material_id"]: row["reason"] for row in found.went.to_pylist()} == {
        "mp-1": None, "mp-2": None, "mp-5": "no structure",
    }  # fmt: skip
    assert {name: ids(table) for name, table in found.changed.items()} == {
        "efermi": {"mp-3"}, "structure": {"mp-4"}, "spacegroup_number": {"mp-6"},
    }  # fmt: skip
    assert {row["material_id"]: row["reason"] for row in found.ledger_came.to_pylist()} == {
        "mp-7": "id seen twice", "mp-79": "no structure",
    }  # fmt: skip
    assert ids(found.ledger_went) == {"mp-78"}
    assert found.moved == {}
    assert found.version is None
    turned = diff(path, release.path, workers=1)
    assert ids(turned.went) == ids(found.came)
    assert turned.changed["efermi"].to_pylist() == [{"material_id": "mp-3", "a": 9.0, "b": 2.04}]


@pytest.mark.slow
def test_workers_make_no_difference(small_release, rock_salt, write_lines, tmp_path):
    path = write_lines(tmp_path / "b.jsonl", map(rock_salt, range(5, 30)))
    one, two = (diff(small_release.path, path, workers=n).summary() for n in (1, 2))
    assert one == two
    assert len(one["came"]) == 10


def test_neither_is_a_release(snapshot):
    with pytest.raises(UserError, match=r"neither .* nor demo is a release; build one of them first"):
        diff(snapshot, "demo")


def test_no_such_side(small_release, tmp_path):
    done = run(small_release.path, tmp_path / "nothing")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "nothing: no such file or folder" in done.stderr
