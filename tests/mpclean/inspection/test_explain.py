"""The life of a record, and its command."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import mpclean
from mpclean import UserError
from mpclean.cli import main
from mpclean.inspection.explain import explain
from mpclean.inspection.explain.text import describe
from mpclean.vocabulary.elements import SYMBOLS
from mpclean.vocabulary.schema import LEDGER

RULES = ["record", "duplicate", "size", "dimensionality", "graph"]


@pytest.fixture(scope="module")
def release(rock_salt, write_lines, tmp_path_factory):
    """Rock salts; of mp-3 a twin of higher energy, of mp-4 a second record, of mp-5 one that is none.

    mp-6 lost its structure, and so did a namesake of it.
    """
    folder = tmp_path_factory.mktemp("explained")
    documents = [
        *map(rock_salt, range(12)),
        rock_salt(2, material_id="mp-103", formation_energy_per_atom=-0.77),
        rock_salt(3, band_gap=9.0),
        {"material_id": "mp-5"},
    ]
    documents[5] = {"material_id": "mp-6", "structure": {}, "builder_meta": {"database_version": "v1"}}
    documents.insert(0, {"material_id": "mp-6"})
    documents[3]["builder_meta"] = {"database_version": "v2"}
    documents[3]["spacegroup_number"] = 216
    built = mpclean.build(
        source=write_lines(folder / "docs.jsonl", documents), out=folder / "salts", workers=1
    )
    mpclean.split(built.path, "leave-element-out", element="Se", workers=1)
    mpclean.split(built.path, "learning-curve", workers=1)
    return mpclean.open_release(built.path)


def verdicts(life):
    return {verdict["rule"]: verdict["verdict"] for verdict in life.verdicts}


def test_a_kept_record(release):
    life = explain(release, "mp-3")
    assert life.kept
    (row,) = (row for row in release.table().to_pylist() if row["material_id"] == "mp-3")
    assert life.symmetry["formula"] == row["formula"] == "Mg1 Se1"
    assert life.symmetry["nsites"] == 2
    assert life.symmetry["volume"] == pytest.approx(abs(np.linalg.det(np.reshape(row["lattice"], (3, 3)))))
    # The source states 216 of what is rock salt.
    assert life.symmetry["spacegroup_number"] == 216
    assert life.symmetry["spacegroup_symbol"] == "F-43m"
    assert life.symmetry["spacegroup_computed"] == 225
    assert life.symmetry["stated_differs"]
    assert life.symmetry["bravais_lattice"] == "cF"
    assert life.symmetry["prototype"] == "AB_cF8_225_a_b"
    assert life.source["stated_version"] == "v2"
    path, number = life.source["place"].split(", row ")
    assert pq.read_table(release.path / path)["material_id"][int(number)].as_py() == "mp-3"
    assert {label["name"]: (label["value"], label["unit"]) for label in life.labels} == {
        "formation_energy_per_atom": (-1.02, "eV/atom"),
        "efermi": (2.04, "eV"),
        "magnetization_per_atom": (pytest.approx(0.15), "muB/atom"),
        "band_gap": (0.6, "eV"),
        "e_above_hull": (0.002, "eV/atom"),
        "is_insulator": (True, ""),
        "is_hubbard": (False, ""),
    }
    assert verdicts(life) == dict.fromkeys(RULES, "passed")
    assert not any(verdict["reason"] or verdict["detail"] for verdict in life.verdicts)
    assert life.replaced_by is None


def test_bonds(release):
    """In rock salt each atom has six neighbours of the other kind, and they are all equally far."""
    life = explain(release, "mp-2")
    assert life.bonds["number"] == 6
    assert life.bonds["coordination"] == {
        "Mg": {"atoms": 1, "neighbours": [6]},
        "S": {"atoms": 1, "neighbours": [6]},
    }
    for end in ("shortest", "longest"):
        assert life.bonds[end] == {"length": pytest.approx(2.46, abs=1e-5), "between": "Mg-S"}
    assert (life.bonds["dimensionality"], life.bonds["n_components"], life.bonds["n_isolated"]) == (3, 1, 0)


def test_shortest_and_longest(demo_release):
    rows = {row["material_id"]: row for row in demo_release.table().to_pylist()}
    lengths = {name: row["edge_length"] for name, row in rows.items()}
    name = max(lengths, key=lambda name: max(lengths[name]) - min(lengths[name]))
    life = explain(demo_release, name)
    assert life.bonds["shortest"]["length"] == min(lengths[name])
    assert life.bonds["longest"]["length"] == max(lengths[name])
    assert life.bonds["number"] * 2 == len(lengths[name])
    degrees = np.bincount(rows[name]["edge_source"])
    of_element: dict[str, list[int]] = {}
    for z, degree in zip(rows[name]["atomic_numbers"], degrees.tolist(), strict=True):
        of_element.setdefault(SYMBOLS[z], []).append(degree)
    assert life.bonds["coordination"] == {
        symbol: {"atoms": len(found), "neighbours": sorted(set(found))}
        for symbol, found in of_element.items()
    }


def test_splits(release):
    life = explain(release, "mp-3")
    more = release.manifest.more_splits
    assert list(life.splits) == ["random", *sorted(more)]
    for strategy, part in life.splits.items():
        assigned = {row["material_id"]: row["split"] for row in release.assigned(strategy).to_pylist()}
        assert part == assigned.get("mp-3")
    assert life.splits["leave-element-out"] == "test"  # it holds selenium
    assert None in {explain(release, f"mp-{n}").splits["learning-curve-0.125"] for n in (1, 2, 3, 4)}


def test_a_record_that_was_replaced(rock_salt, write_lines, tmp_path):
    documents = [
        *map(rock_salt, range(3)),
        rock_salt(2, material_id="mp-103", formation_energy_per_atom=-0.77),
        rock_salt(2, material_id="mp-104", formation_energy_per_atom=-0.52),
    ]
    release = mpclean.build(
        source=write_lines(tmp_path / "d.jsonl", documents), out=tmp_path / "r", workers=1
    )
    life = explain(release, "mp-103")
    assert not life.kept
    assert (life.bonds, life.labels) == (None, [])
    # Its crystal is one of the few that the release keeps of those that left.
    assert life.symmetry["prototype"] == "AB_cF8_225_a_b"
    assert life.symmetry["nsites"] == 2
    assert verdicts(life) == dict(
        zip(RULES, ["passed", "excluded here", *["never reached"] * 3], strict=True)
    )
    assert life.verdicts[1]["reason"] == "same formula and space group as a record of lower energy"
    assert life.verdicts[1]["detail"] == "Mg1 Se1, space group 225"
    assert life.replaced_by["material_id"] == "mp-3"
    assert life.replaced_by["energy_difference"] == pytest.approx(0.25)
    assert life.replaced_by["structures_match"] is True
    assert life.replaced_by["excluded_later"] is None
    assert life.splits == {"random": None}
    kept = explain(release, "mp-3")
    assert [(other["material_id"], pytest.approx(other["energy_difference"])) for other in kept.replaced] == [
        ("mp-103", 0.25),
        ("mp-104", 0.5),
    ]
    text = describe(life)
    assert "mp-3  0.25 eV/atom below this one, the same structure (StructureMatcher), which is kept" in text
    assert "mp-103  0.25 eV/atom above this one, the same structure (StructureMatcher)" in describe(kept)


def test_namesakes(release):
    """Records of the same id are told apart: the first that can be read is the one that counts."""
    again, unreadable = explain(release, "mp-4"), explain(release, "mp-5")
    assert again.kept
    assert [row["reason"] for row in again.namesakes] == ["id seen twice"]
    assert again.replaced == []
    assert unreadable.kept
    assert [row["reason"] for row in unreadable.namesakes] == ["no structure"]
    lost = explain(release, "mp-6")
    assert not lost.kept
    assert verdicts(lost) == dict(zip(RULES, ["excluded here", *["never reached"] * 4], strict=True))
    assert lost.verdicts[0]["reason"] == "structure is malformed"
    assert lost.symmetry is None
    assert [row["reason"] for row in lost.namesakes] == ["no structure"]


def test_every_rule(demo_release):
    """Whatever left by a rule passed those before it, and never met those after it."""
    stages = [stage.name for stage in demo_release.manifest.stages][1:-1]
    ledger = {row["rule"]: row for row in demo_release.ledger().to_pylist() if row["material_id"]}
    assert len(ledger) > 2
    for rule, row in ledger.items():
        life = explain(demo_release, row["material_id"])
        place = stages.index(rule)
        expected = ["passed"] * place + ["excluded here"] + ["never reached"] * (len(stages) - place - 1)
        assert list(verdicts(life).values()) == expected
        assert life.verdicts[place]["reason"] == row["reason"]
        assert life.verdicts[place]["detail"] == row["detail"]
        text = describe(life)
        assert row["reason"] in text
        assert ("\nsymmetry\n" in text) == (life.symmetry is not None)


def test_replaced_by_one_that_excluded_later(structure_dict, write_lines, tmp_path):
    """Of two equal layers one leaves for the other, which leaves as a layer."""
    graphene = structure_dict(
        [[2.46, 0, 0], [-1.23, 2.1304, 0], [0, 0, 15]], "CC", [(0, 0, 0.5), (1 / 3, 2 / 3, 0.5)]
    )
    salt = structure_dict(2.8 * (np.ones((3, 3)) - np.eye(3)), ("Na", "Cl"), [(0, 0, 0), (0.5, 0.5, 0.5)])
    documents = [
        {"material_id": name, "structure": structure, "formation_energy_per_atom": energy}
        for name, structure, energy in (("a", graphene, 0.0), ("b", graphene, 0.1), ("c", salt, 0.0))
    ]
    release = mpclean.build(
        source=write_lines(tmp_path / "d.jsonl", documents), out=tmp_path / "r", workers=1
    )
    life = explain(release, "b")
    assert life.replaced_by["excluded_later"] == {
        "rule": "dimensionality", "reason": "not three-dimensional", "detail": "dimensionality 2",
    }  # fmt: skip
    assert "which was excluded later, dimensionality, not three-dimensional, dimensionality 2" in describe(
        life
    )


def test_published_list(published_salts, snapshot, tmp_path):
    release = mpclean.build(version="2021.05", source=snapshot, out=tmp_path / "replay", workers=1)
    assert explain(release, "mp-3").listed == "train"
    left = explain(release, "mp-1")
    assert left.listed is None
    assert verdicts(left)["split"] == "excluded here"
    assert left.verdicts[-1]["rule"] == "split"


@pytest.mark.parametrize("name", ["mp-d", "mp-aaaaaaad"])
def test_either_form_of_an_id(release, name):
    assert explain(release, name) == explain(release, "mp-3")


@pytest.mark.parametrize(
    ("name", "similar"), [("mp-1O", "mp-1"), ("MP-11", "mp-11"), ("mp-66", "mp-6"), ("10", "mp-10")]
)
def test_unknown(release, name, similar):
    with pytest.raises(
        UserError, match=f"no record '{name}', kept or excluded; similar are (mp-[0-9]+, )*{similar}(,|$)"
    ) as caught:
        explain(release, name)
    assert "\n" not in str(caught.value)


def test_nothing_similar(release):
    with pytest.raises(UserError, match=r"; its ids are like mp-2$"):
        explain(release, "?")


def test_command(release):
    def run(*arguments):
        return CliRunner().invoke(main, ["explain", *map(str, arguments)])

    text = run(release.path, "mp-3")
    assert text.exit_code == 0
    assert text.stdout.splitlines()[0] == "mp-3 MgSe: kept"
    for line in ("  random", "  leave-element-out", "  formation_energy_per_atom  -1.02 eV/atom"):
        assert any(printed.startswith(line) for printed in text.stdout.splitlines()), line
    assert "216 (F-43m); the source's, another was computed in the build" in text.stdout
    as_json = json.loads(run(release.path, "mp-3", "--json").stdout)
    assert as_json == json.loads(json.dumps(explain(release, "mp-3").summary()))
    unknown = run(release.path, "mp-999")
    assert unknown.exit_code == 2
    assert unknown.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("match", "words"),
    [(True, "the same structure ("), (False, "another structure ("), (None, "structures not compared")],
)
def test_verdicts_of_the_matcher(rock_salt, write_lines, tmp_path, reseal, match, words):
    documents = [
        rock_salt(2),
        rock_salt(2, material_id="mp-103", formation_energy_per_atom=None),
        rock_salt(9),
    ]
    release = mpclean.build(
        source=write_lines(tmp_path / "d.jsonl", documents), out=tmp_path / "r", workers=1
    )
    path = release.path / "ledger" / "excluded.parquet"
    (row,) = pq.read_table(path).to_pylist()
    pq.write_table(pa.Table.from_pylist([row | {"structures_match": match}], LEDGER), path)
    life = explain(mpclean.open_release(reseal(release.path)), "mp-103")
    assert life.replaced_by["structures_match"] is match
    assert f"energies not known, {words}" in describe(life)
