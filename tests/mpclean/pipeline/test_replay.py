"""What became of the ids of a published list, counted while building and again from the release."""

import json
import re

import pyarrow as pa
import pytest

import mpclean
from mpclean import UserError
from mpclean.pipeline.replay import NOT_THERE, compare, recount
from mpclean.splits import read_split
from mpclean.vocabulary.schema import LEDGER, SPLIT


def table_of_ids(*ids):
    return pa.table([ids, ["train"] * len(ids)], schema=SPLIT)


def kept(**nsites):
    return pa.table({"material_id": list(nsites), "nsites": pa.array(nsites.values(), pa.int16())})


def ledger(*rows):
    names = ("material_id", "rule", "reason", "detail")
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=LEDGER)


def test_every_way_to_agree_or_not():
    found = compare(
        table_of_ids("a", "b", "c", "d", "e", "f"),
        kept(a=4, b=1),
        ledger(
            (None, "record", "no id", ""),
            ("b", "record", "no structure", ""),  # an unreadable namesake of a record that is kept
            ("c", "record", "no structure", ""),  # and of one that leaves later
            ("d", "record", "no structure", ""),
            ("x", "record", "no structure", ""),
            ("c", "size", "too large", "60 atoms"),
            ("e", "size", "too large", "70 atoms"),
            ("y", "size", "too large", "80 atoms"),
            ("p", "split", "on no list", "nsites 1"),
            ("q", "split", "on no list", "nsites 12"),
        ),
    )
    assert found == {
        "listed": 6,
        "agree": 2,
        "missing": [
            {"rule": "size", "reason": "too large", "ids": 2},
            {"rule": "record", "reason": "no structure", "ids": 1},
            {"rule": None, "reason": NOT_THERE, "ids": 1},
        ],
        "extra": 2,
        "one_atom": {"agree": 1, "extra": 1},
    }


def test_nothing_in_common():
    found = compare(table_of_ids("a", "b"), kept().cast(kept(a=1).schema), ledger())
    assert found == {
        "listed": 2,
        "agree": 0,
        "missing": [{"rule": None, "reason": NOT_THERE, "ids": 2}],
        "extra": 0,
        "one_atom": {"agree": 0, "extra": 0},
    }


@pytest.fixture
def documents(rock_salt, structure_dict):
    """Ten rock salts, mp-1 to mp-10, and records that leave in other ways; two salts are not on the list."""
    copper = structure_dict([[0.0, 1.8, 1.8], [1.8, 0.0, 1.8], [1.8, 1.8, 0.0]], ("Cu",), [(0, 0, 0)])
    layer = structure_dict([[2.5, 0, 0], [-1.25, 2.165, 0], [0, 0, 20.0]], ("C", "C"),
                           [(1 / 3, 2 / 3, 0), (2 / 3, 1 / 3, 0)])  # fmt: skip
    higher = rock_salt(4)["formation_energy_per_atom"] + 0.1
    return [
        rock_salt(30, material_id="mp-3", structure=None),  # mp-3 comes again below, readable
        *map(rock_salt, range(10)),
        rock_salt(4, material_id="mp-11", formation_energy_per_atom=higher),
        rock_salt(11, structure=None),  # mp-12
        rock_salt(12, structure=layer),  # mp-13
        {"material_id": "mp-100", "structure": copper, "formation_energy_per_atom": 0.0},
    ]


@pytest.fixture
def replayed(published_salts, documents, write_lines, tmp_path):
    path = write_lines(tmp_path / "docs.jsonl", documents)
    return mpclean.build(version="2021.05", source=path, out=tmp_path / "r", workers=1)


def test_replay_of_a_snapshot(replayed):
    assert replayed.manifest.replay.model_dump() == {
        "listed": 18,
        "agree": 8,
        "missing": [
            {"rule": None, "reason": NOT_THERE, "ids": 7},
            {"rule": "record", "reason": "no structure", "ids": 1},
            {"rule": "dimensionality", "reason": "not three-dimensional", "ids": 1},
            {
                "rule": "duplicate",
                "reason": "same formula and space group as a record of lower energy",
                "ids": 1,
            },
        ],
        "extra": 3,
        "one_atom": {"agree": 0, "extra": 1},
    }
    assert sorted(replayed.table()["material_id"].to_pylist()) == sorted(f"mp-{n}" for n in range(3, 11))
    split = replayed.manifest.split
    assert split.strategy == "published"
    assert "oumarkaba/equivariant_crystal_networks publishes at commit 3ad0988" in split.description


def test_numbers_come_again_from_release_and_ledger(replayed):
    found, manifest = recount(replayed), replayed.manifest
    assert found["replay"] == manifest.replay.model_dump()
    assert found["stages"] == {stage.name: stage.kept for stage in manifest.stages}
    assert set(found["statistics"]) == set(manifest.statistics)
    for name, values in manifest.statistics.items():
        assert found["statistics"][name] == pytest.approx(values.model_dump())


def test_the_list_is_kept_whole(replayed, published_salts):
    assert replayed.listed().equals(read_split(published_salts))
    assert "replay/listed.parquet" in replayed.manifest.files
    assert replayed.verify() == []


def test_card_has_the_replay(replayed):
    card = (replayed.path / "README.md").read_text(encoding="utf-8")
    assert re.search(r"\| agree: on the list and kept +\| +8 \| +44\.4% \|", card)
    assert re.search(r"\| missing: dimensionality, not three-dimensional +\| +1 \| +5\.6% \|", card)
    assert "- One-atom cells: 1 pass the paper's rules" in card
    assert "- The source states no version; 2021.05 is claimed." in card
    assert "no count compares" not in card  # nothing was limited


def test_stated_version_stands_beside_the_claimed_one(published_salts, rock_salt, write_lines, tmp_path):
    documents = [rock_salt(n, database_version="v2021.05.13") for n in range(3)]
    path = write_lines(tmp_path / "docs.jsonl", documents)
    release = mpclean.build(version="2021.05", source=path, out=tmp_path / "r", workers=1)
    assert "- The source states v2021.05.13; 2021.05 is claimed." in (release.path / "README.md").read_text()


def test_source_formula_counts_what_the_source_wrote(
    published_salts, rock_salt, structure_dict, write_lines, tmp_path
):
    """The conventional cell of mp-3 meets its twin by the primitive cell's formula only."""
    crystal = mpclean.crystal.reading.read_structure(rock_salt(2)["structure"]).crystal
    conventional = crystal.to_pymatgen() * [2, 1, 1]
    symbols = [site.specie.symbol for site in conventional]
    doubled = structure_dict(conventional.lattice.matrix, symbols, conventional.frac_coords)
    documents = [rock_salt(2), rock_salt(3), rock_salt(2, material_id="mp-5", structure=doubled)]
    path = write_lines(tmp_path / "docs.jsonl", documents)
    release = mpclean.build(version="2021.05", source=path, out=tmp_path / "r", workers=1)
    assert {stage.name: stage.kept for stage in release.manifest.stages}["duplicate"] == 2
    assert release.manifest.kept_by_source_formula == 3
    assert "would keep 3 records; published are 114,605" in (release.path / "README.md").read_text()


def test_lists_that_are_given(published_salts, snapshot, tmp_path):
    """The same comparison with lists of the user's own; those of the version are not asked for."""
    for path in published_salts.iterdir():
        path.unlink()
    (tmp_path / "split.json").write_text(json.dumps({"train": ["mp-1", "mp-2", "mp-999"]}))
    release = mpclean.build(
        version="2021.05", source=snapshot, out=tmp_path / "r", split=tmp_path / "split.json", workers=1
    )
    assert release.manifest.replay.listed == 3
    assert release.manifest.replay.agree == 2
    assert release.manifest.split.description == "Lists of ids that were given to the build."


def test_random_split_compares_with_no_list(published_salts, snapshot, tmp_path):
    release = mpclean.build(version="2021.05", source=snapshot, out=tmp_path / "r", split="random", workers=1)
    assert release.manifest.replay is None
    assert "published list" not in (release.path / "README.md").read_text()
    with pytest.raises(
        UserError, match=r"r: no published list in this release; mpclean build --version 2021"
    ):
        recount(release)


def test_lists_that_cannot_be_had(published_salts, snapshot, tmp_path):
    (published_salts / "salts_valid.json").unlink()
    with pytest.raises(UserError) as caught:
        mpclean.build(version="2021.05", source=snapshot, out=tmp_path / "r", workers=1)
    message = str(caught.value)
    assert message.startswith("http://127.0.0.1:9/salts_valid.json: ")
    for part in (str(published_salts), "MPCLEAN_CACHE", "--split random", "--split PATH"):
        assert part in message
    assert "\n" not in message
    assert not (tmp_path / "r").exists()
