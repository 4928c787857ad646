"""A build from records to a release: nothing lost, nothing half done, the same bytes every time."""

import csv
import fcntl
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice

import mpclean
from mpclean import UserError
from mpclean.crystal.bonding import TessellationError, radius_graph
from mpclean.crystal.reading import read_structure
from mpclean.crystal.similarity import matching
from mpclean.pipeline import passes
from mpclean.pipeline import run as pipeline
from mpclean.pipeline import steps as work
from mpclean.sources import base
from mpclean.sources.documents import read_documents
from mpclean.sources.records import open_records
from mpclean.sources.versions import find_version, known_versions
from mpclean.splits import shuffled
from mpclean.vocabulary.schema import PARTS


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def stages(release):
    return {stage.name: stage.kept for stage in release.manifest.stages}


@pytest.fixture(scope="module")
def cases_release(every_case, tmp_path_factory):
    return mpclean.build(source=every_case, out=tmp_path_factory.mktemp("cases") / "r", workers=1)


# ---------------------------------------------------------------- nothing is lost


def test_records_in_are_records_kept_and_in_the_ledger(every_case, cases_release):
    read = [row for batch in open_records(every_case).batches() for row in read_documents(batch).to_pylist()]
    kept = cases_release.table()["material_id"].to_pylist()
    ledger = cases_release.ledger()
    assert Counter(row["material_id"] for row in read) == Counter(kept + ledger["material_id"].to_pylist())
    assert len(kept) == len(set(kept))
    assert kept
    # Every rule had something to do.
    assert set(ledger["rule"].to_pylist()) == {"record", "duplicate", "size", "dimensionality", "graph"}
    assert None not in ledger["reason"].to_pylist()
    assert None not in ledger["detail"].to_pylist()


def test_ledger_has_the_reason_of_every_case(every_case, cases_release):
    cases = {}
    for line in every_case.read_bytes().splitlines()[:-2]:
        document = json.loads(line)
        if "material_id" in document and document["case"] != "id seen twice":
            cases.setdefault(document["case"], []).append(document["material_id"])
    ledger = {row["material_id"]: row for row in cases_release.ledger().to_pylist()}
    expected = {
        "layers": "dimensionality",
        "chains": "dimensionality",
        "molecules": "dimensionality",
        "large": "size",
        "large supercell": "size",
        "disconnected": "graph",
        "no radius": "graph",
        "partial occupancy": "record",
        "coordinate NaN": "record",
        "zero volume": "record",
        "no element": "record",
        "null structure": "record",
        "energy 1e6": "record",
        "infinite Fermi energy": "record",
    }
    for case, rule in expected.items():
        assert {ledger[i]["rule"] for i in cases[case]} == {rule}, case
    kept = set(cases_release.table()["material_id"].to_pylist())
    for case in ("crystal", "null gap", "Fermi energy None", "energy NaN", "no moments"):
        assert kept & set(cases[case]), case
    reasons = Counter(row["reason"] for row in ledger.values())
    assert reasons["not three-dimensional"] == 6


def test_stages_add_up(cases_release, demo_release):
    for release in (cases_release, demo_release):
        listed = release.manifest.stages
        ledger = Counter(release.ledger()["rule"].to_pylist())
        left = listed[0].kept
        for stage in listed[1:-1]:
            assert stage.excluded == ledger[stage.name]
            left -= stage.excluded
            assert stage.kept == left
        assert left == release.table().num_rows == sum(release.manifest.splits.values())
        insulators = release.table()["is_insulator"].to_pylist().count(True)
        assert listed[-1].kept == insulators > 0
    assert stages(demo_release)["records"] == 150


def test_missing_values_stay_null(every_case, cases_release):
    rows = {row["material_id"]: row for row in cases_release.table().to_pylist()}
    found = 0
    for line in every_case.read_bytes().splitlines()[:-2]:
        document = json.loads(line)
        row = rows.get(document.get("material_id"))
        if document["case"] in ("null gap", "Fermi energy None", "no moments") and row:
            found += 1
            name = {"null gap": "band_gap", "Fermi energy None": "efermi"}.get(
                document["case"], "magnetic_moments"
            )
            assert row[name] is None
            assert document["case"] != "null gap" or row["is_insulator"] is None
    assert found >= 3


def test_ids_seen_twice(rock_salt, write_lines, tmp_path):
    """mp-b is mp-1 in the new spelling; the unreadable record before it does not count."""
    documents = [
        rock_salt(0, structure=None),
        rock_salt(1, material_id="mp-b"),
        rock_salt(2, material_id="mp-1"),
        rock_salt(3),
    ]
    path = write_lines(tmp_path / "docs.jsonl", documents)
    release = mpclean.build(source=path, out=tmp_path / "r", workers=1)
    rows = {row["material_id"]: row["formula"] for row in release.table().to_pylist()}
    assert rows == {"mp-1": "Mg1 S1", "mp-4": "Mg1 Te1"}
    assert [(row["material_id"], row["reason"]) for row in release.ledger().to_pylist()] == [
        ("mp-1", "no structure"),
        ("mp-1", "id seen twice"),
    ]


# ---------------------------------------------------------------- what is a duplicate


def salts_of_two_structures(rock_salt):
    """Of three formulas rock salts and zinc blendes, stated to have one space group; some larger."""

    def salt(number, material_id, energy, coords=None, scale=1.0):
        document = rock_salt(number, material_id=material_id, formation_energy_per_atom=energy)
        structure = document["structure"]
        structure["lattice"]["matrix"] = (scale * np.array(structure["lattice"]["matrix"])).tolist()
        if coords is not None:
            structure["sites"][1]["abc"] = coords
        return document | {"spacegroup_number": 216}

    blende = [0.25, 0.25, 0.25]
    return [
        salt(0, "mp-1", -1.0),
        salt(1, "mp-2", -2.0),
        salt(0, "mp-3", -0.7, blende),
        salt(0, "mp-4", -0.5, scale=1.03),
        salt(2, "mp-5", -3.0),
        salt(1, "mp-6", -1.5, scale=0.98),
        salt(0, "mp-7", -0.6, blende, scale=1.02),
        salt(1, "mp-8", None, blende),
    ]


@pytest.fixture(scope="module")
def build_salts(rock_salt, write_lines, tmp_path_factory):
    """Builds of these salts; batches hold three records, and tasks of the matcher one group."""
    folder = tmp_path_factory.mktemp("structures")
    path = write_lines(folder / "docs.jsonl", salts_of_two_structures(rock_salt))

    def build(name, **options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(base, "BATCH_SIZE", 3)
            patch.setattr(passes, "_GROUPS", 1)
            return mpclean.build(source=path, out=folder / name, **{"workers": 1, **options})

    return build


def duplicates(release):
    return {
        row["material_id"]: (row["kept_id"], row["structures_match"])
        for row in release.ledger().to_pylist()
        if row["rule"] == "duplicate"
    }


@pytest.fixture(scope="module")
def by_key(build_salts):
    return build_salts("key")


@pytest.fixture(scope="module")
def by_structure(build_salts):
    return build_salts("structure", rule={"dedup": "structure"})


def test_by_key_every_merge_has_a_verdict(by_key):
    assert sorted(by_key.table()["material_id"].to_pylist()) == ["mp-1", "mp-2", "mp-5"]
    assert duplicates(by_key) == {
        "mp-3": ("mp-1", False),
        "mp-4": ("mp-1", True),
        "mp-7": ("mp-1", False),
        "mp-6": ("mp-2", True),
        "mp-8": ("mp-2", False),
    }
    parameters = by_key.manifest.parameters
    assert (parameters.dedup, parameters.max_matched_atoms) == ("key", matching.MAX_ATOMS)
    assert parameters.max_comparisons == matching.MAX_COMPARISONS


def test_by_structure_only_equal_crystals_merge(by_structure):
    assert sorted(by_structure.table()["material_id"].to_pylist()) == ["mp-1", "mp-2", "mp-3", "mp-5", "mp-8"]
    assert duplicates(by_structure) == {
        "mp-4": ("mp-1", True),
        "mp-7": ("mp-3", True),
        "mp-6": ("mp-2", True),
    }
    assert stages(by_structure)["duplicate"] == 5
    assert by_structure.manifest.parameters.dedup == "structure"


def test_the_manifest_judges_the_key_whatever_was_built(by_key, by_structure):
    for release in (by_key, by_structure):
        found = release.manifest.duplicates
        assert found.excluded == {"key": 5, "structure": 3}
        counts = {name: verdict.records for name, verdict in found.verdicts.items()}
        assert counts == {"equal": 2, "distinct": 3, "undecided": 0}
        distinct = found.verdicts["distinct"]
        assert distinct.median == pytest.approx(0.35)
        assert [example.material_id for example in distinct.examples] == ["mp-3", "mp-7"]
    assert by_key.content_hash != by_structure.content_hash


@pytest.mark.slow
def test_verdicts_do_not_depend_on_workers(build_salts, by_structure):
    again = build_salts("again", rule={"dedup": "structure"}, workers=2)
    assert again.content_hash == by_structure.content_hash
    assert again.manifest == by_structure.manifest.changed(
        **{name: getattr(again.manifest, name) for name in ("name", "files", "manifest_sha256")}
    )


def test_what_cannot_be_compared_stays_apart(build_salts, monkeypatch):
    monkeypatch.setattr(matching, "MAX_ATOMS", 1)
    release = build_salts("undecided", rule={"dedup": "structure"})
    assert duplicates(release) == {}
    assert release.manifest.duplicates.verdicts["undecided"].records == 5
    by_key = build_salts("undecided by key")
    assert set(duplicates(by_key).values()) == {("mp-1", None), ("mp-2", None)}
    details = [row["detail"] for row in by_key.ledger().to_pylist()]
    assert all(detail.endswith("; structures beyond what is compared") for detail in details)


def test_unknown_dedup(snapshot, tmp_path):
    with pytest.raises(
        UserError, match=r"--rule duplicate\.dedup=energy: input should be 'key' or 'structure'"
    ):
        mpclean.build(source=snapshot, out=tmp_path / "r", rule={"dedup": "energy"})


def test_dedup_where_nothing_is_deduplicated(tmp_path):
    with pytest.raises(UserError, match="--rule dedup: unknown parameter 'dedup'; known: none"):
        mpclean.build(version="perov-5", out=tmp_path / "r", rule={"dedup": "structure"})


# ---------------------------------------------------------------- splits


def test_random_split_is_the_shuffle_of_the_sorted_ids(demo_release):
    ids = sorted(demo_release.table()["material_id"].to_pylist())
    expected = shuffled(ids).to_pylist()
    for split in PARTS:
        found = demo_release.table(split)["material_id"].to_pylist()
        assert sorted(found) == sorted(row["material_id"] for row in expected if row["split"] == split)


def test_given_lists(snapshot, tmp_path):
    for name, ids in (
        ("train", ["mp-ft", "mp-2", "mp-3"]),
        ("valid", ["mp-e"]),
        ("test", ["mp-20", "mp-777"]),
    ):
        (tmp_path / f"x_{name}.json").write_text(json.dumps(ids))
    release = mpclean.build(source=snapshot, out=tmp_path / "r", split=tmp_path, workers=1)
    assert {s: sorted(release.table(s)["material_id"].to_pylist()) for s in PARTS} == {
        "train": ["mp-2", "mp-3"], "validation": ["mp-4"], "test": ["mp-20"]
    }  # fmt: skip
    ledger = release.ledger().to_pylist()
    assert {row["rule"] for row in ledger} == {"split"}
    assert len(ledger) == 16
    assert stages(release)["split"] == 4
    assert release.manifest.replay is None  # no version, so nothing that was published of it


def test_published_split_that_there_is_not(snapshot, tmp_path):
    with pytest.raises(UserError, match="brings no published split; give lists with --split PATH"):
        mpclean.build(source=snapshot, out=tmp_path / "r", split="published", workers=1)


@pytest.fixture
def perov_5(rock_salt, tmp_path):
    """Three files of the benchmark with rows of one crystal; the cell of row 8 is made to order."""

    def write(edge):
        structure = read_structure(rock_salt(0)["structure"]).crystal.to_pymatgen()
        normal, other = structure.copy(), structure.copy()
        other.lattice = Lattice.orthorhombic(edge, edge, 5.0)
        folder = tmp_path / "perov_5"
        folder.mkdir()
        for name, ids in {"train": (7, 8), "val": (9,), "test": (10,)}.items():
            with (folder / f"{name}.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(
                    ["material_id", "cif", "formula", "heat_all", "heat_ref", "dir_gap", "ind_gap"]
                )
                for i in ids:
                    cif = (other if i == 8 else normal).to(fmt="cif")
                    writer.writerow([i, cif, "MgO", 1.5, 1.0, 0.0, 0.5])
        return folder

    return write


def test_perov_5_keeps_its_split_and_runs_one_rule(perov_5, tmp_path):
    release = mpclean.build(version="perov-5", source=perov_5(5.0), out=tmp_path / "r", workers=1)
    found = {split: release.table(split)["material_id"].to_pylist() for split in PARTS}
    assert found == {"train": ["7", "8"], "validation": ["9"], "test": ["10"]}
    assert release.ledger().num_rows == 0
    names = [stage.name for stage in release.manifest.stages]
    assert names == ["records", "record", "bonds", "split", "insulators"]
    assert set(release.table()["heat_all"].to_pylist()) == {1.5}
    assert release.manifest.parameters.cutoff == 5.0
    assert all(4.0 < max(lengths) <= 5.0 for lengths in release.table()["edge_length"].to_pylist())


def test_perov_5_from_the_cache(perov_5, tmp_path, monkeypatch):
    """Without a source its files come from where they were published; here they are there already."""
    folder = tmp_path / "cache" / "perov-5"
    folder.parent.mkdir()
    perov_5(5.0).rename(folder)
    sha256 = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    version = find_version("perov-5")
    data = replace(version.data, url="http://127.0.0.1:9/", sha256=sha256)  # nobody listens there
    monkeypatch.setitem(known_versions(), "perov-5", replace(version, data=data))
    monkeypatch.setenv("MPCLEAN_CACHE", str(tmp_path / "cache"))
    release = mpclean.build(version="perov-5", out=tmp_path / "r", workers=1)
    assert release.manifest.splits == {"train": 2, "validation": 1, "test": 1}
    assert release.manifest.replay is None
    (folder / "val.csv").unlink()
    with pytest.raises(UserError, match=r"^http://127\.0\.0\.1:9/val\.csv: .* give --source FOLDER"):
        mpclean.build(version="perov-5", out=tmp_path / "s", workers=1)


def test_a_crystal_without_bonds_is_in_the_ledger_whatever_the_rules(perov_5, tmp_path, monkeypatch):
    def fail(crystal, cutoff):
        if crystal.volume > 100.0:
            raise TessellationError("made to order")
        return radius_graph(crystal, cutoff)

    monkeypatch.setattr(work, "radius_graph", fail)
    release = mpclean.build(version="perov-5", source=perov_5(6.0), out=tmp_path / "r", workers=1)
    assert sorted(release.table()["material_id"].to_pylist()) == ["10", "7", "9"]
    (row,) = release.ledger().to_pylist()
    assert (row["material_id"], row["rule"], row["detail"]) == ("8", "bonds", "made to order")


# ---------------------------------------------------------------- the same bytes


def test_two_builds_are_the_same_bytes(snapshot, small_release, tmp_path):
    again = mpclean.build(source=snapshot, out=tmp_path / "elsewhere" / "salts", workers=1)
    assert contents(again.path) == contents(small_release.path)


@pytest.mark.slow
def test_workers_do_not_change_a_byte(every_case, cases_release, tmp_path):
    again = mpclean.build(source=every_case, out=tmp_path / "r", workers=2)
    assert contents(again.path) == contents(cases_release.path)


def test_batches_do_not_change_the_content(every_case, cases_release, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "BATCH_SIZE", 7)
    again = mpclean.build(source=every_case, out=tmp_path / "r", workers=1)
    assert again.content_hash == cases_release.content_hash
    assert again.table().equals(cases_release.table())


def test_no_host_path_or_time_in_any_file(demo_release, small_release, snapshot):
    for release in (demo_release, small_release):
        texts = [path.read_bytes() for path in release.path.rglob("*") if path.is_file()]
        for table in (release.table(), release.ledger()):
            for name in table.column_names:
                if str(table.schema.field(name).type) == "string":
                    texts += [value.encode() for value in table[name].drop_null().to_pylist()]
        text = b"\n".join(texts)
        host = socket.gethostname()
        assert len(host) < 4 or host.encode() not in text
        for path in (release.path, release.path.parent, snapshot.parent, Path.cwd(), Path.home()):
            assert len(str(path)) < 4 or str(path).encode() not in text
        plain = (release.path / "README.md").read_text() + (release.path / "manifest.json").read_text()
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\b\d\d:\d\d\b", plain)


def test_manifest_says_what_was_built(demo_release, snapshot, small_release):
    upstream = demo_release.manifest.upstream
    assert upstream.claimed_version == "demo"
    assert upstream.stated_versions == []
    assert small_release.manifest.upstream.claimed_version is None
    assert small_release.manifest.name == "salts"
    assert small_release.manifest.upstream.sha256 == open_records(snapshot).identity.sha256
    assert demo_release.manifest.parameters.limit == 150
    assert small_release.manifest.parameters.limit is None
    assert set(demo_release.manifest.libraries) >= {"mpclean", "moyopy", "spglib", "pymatgen", "scipy"}


# ---------------------------------------------------------------- options


def test_limit(snapshot, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "BATCH_SIZE", 4)
    release = mpclean.build(source=snapshot, out=tmp_path / "r", limit=10, workers=1)
    assert sorted(release.table()["material_id"].to_pylist(), key=lambda i: int(i[3:])) == [
        f"mp-{n}" for n in range(1, 11)
    ]
    assert stages(release)["records"] == 10


def test_limit_beyond_the_end(rock_salt, write_lines, tmp_path):
    path = write_lines(tmp_path / "docs.jsonl", [rock_salt(n) for n in range(3)])
    assert mpclean.build(source=path, out=tmp_path / "r", limit=99, workers=1).table().num_rows == 3


def test_min_area(snapshot, small_release, tmp_path):
    """The faces of a rock salt are squares of the side of its bonds, 4 to 11 A^2 here."""
    areas = {row["material_id"]: min(row["edge_length"]) ** 2 for row in small_release.table().to_pylist()}
    middle = sorted(areas.values())[10]
    strict = mpclean.build(source=snapshot, out=tmp_path / "r", workers=1, min_area=middle - 1e-3)
    assert small_release.manifest.parameters.min_area == 1e-4
    assert strict.manifest.parameters.min_area == middle - 1e-3
    expected = {material_id for material_id, area in areas.items() if area > middle - 1e-3}
    assert set(strict.table()["material_id"].to_pylist()) == expected
    assert set(strict.ledger()["rule"].to_pylist()) == {"dimensionality"}


def test_source_that_states_another_version(rock_salt, write_lines, tmp_path):
    documents = [rock_salt(n, builder_meta={"database_version": "2022.10.28"}) for n in range(3)]
    path = write_lines(tmp_path / "docs.jsonl", documents)
    with pytest.raises(
        UserError, match=r"states version 2022\.10\.28, not 2021\.05: build it without"
    ) as caught:
        mpclean.build(version="2021.05", source=path, out=tmp_path / "r", split="random", workers=1)
    assert "--out DIR" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["docs.jsonl"]
    release = mpclean.build(source=path, out=tmp_path / "r", workers=1)
    assert release.manifest.upstream.stated_versions == ["2022.10.28"]
    assert "stated by the source 2022.10.28" in (release.path / "README.md").read_text()


@pytest.mark.parametrize("stated", ["2021.05.13", "v2021.05.13", "2021_05_13", None])
def test_source_of_the_right_version_or_none(rock_salt, write_lines, tmp_path, stated):
    documents = [rock_salt(n, database_version=stated) for n in range(3)]
    path = write_lines(tmp_path / "docs.jsonl", documents)
    release = mpclean.build(version="2021.05", source=path, out=tmp_path / "r", split="random", workers=1)
    assert release.manifest.name == "mp-v1"
    assert release.manifest.upstream.claimed_version == "2021.05"
    assert release.manifest.upstream.stated_versions == ([stated] if stated else [])
    assert release.manifest.upstream.published.stages["graph"] == 78649


def test_a_release_is_no_source(small_release, tmp_path):
    with pytest.raises(UserError, match="is a release, and no source: build from the snapshot"):
        mpclean.build(source=small_release.path, out=tmp_path / "r", workers=1)
    assert not (tmp_path / "r").exists()


def test_default_folder(snapshot, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    release = mpclean.build(version="2021.05", source=snapshot, split="random", workers=1, limit=3)
    assert release.path == Path("releases/mp-v1")
    with pytest.raises(UserError, match="without --version needs --out DIR"):
        mpclean.build(source=snapshot, workers=1)


# ---------------------------------------------------------------- nothing half done


def test_an_existing_release_stays_without_force(small_release, snapshot):
    before = contents(small_release.path)
    with pytest.raises(UserError, match="exists already; choose another --out, or replace it with --force"):
        mpclean.build(source=snapshot, out=small_release.path, workers=1)
    assert contents(small_release.path) == before


def test_force_replaces(snapshot, tmp_path):
    out = tmp_path / "r"
    old = mpclean.build(source=snapshot, out=out, workers=1, limit=3)
    new = mpclean.build(source=snapshot, out=out, workers=1, limit=5, force=True)
    assert new.content_hash != old.content_hash
    assert new.verify() == []
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("kind", ["folder", "web page", "file"])
def test_force_replaces_releases_only(snapshot, tmp_path, kind):
    name = {"folder": "thesis/chapter.tex", "web page": "thesis/manifest.json", "file": "thesis"}[kind]
    precious = tmp_path / name
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("precious")
    with pytest.raises(UserError, match="thesis exists and is no release, so --force does not replace it"):
        mpclean.build(source=snapshot, out=tmp_path / "thesis", workers=1, limit=3, force=True)
    assert precious.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["thesis"]


def test_a_folder_that_appears_meanwhile_is_not_replaced(snapshot, tmp_path, monkeypatch):
    write = pipeline.write_release

    def slow(*arguments):
        (tmp_path / "r").mkdir()
        (tmp_path / "r" / "chapter.tex").write_text("precious")
        write(*arguments)

    monkeypatch.setattr(pipeline, "write_release", slow)
    with pytest.raises(UserError, match="exists already") as caught:
        mpclean.build(source=snapshot, out=tmp_path / "r", workers=1, limit=3)
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["chapter.tex"]
    assert "the same command goes on" in caught.value.__notes__[0]


def test_force_takes_an_empty_folder(snapshot, tmp_path):
    (tmp_path / "r").mkdir()
    release = mpclean.build(source=snapshot, out=tmp_path / "r", workers=1, limit=3, force=True)
    assert release.verify() == []


@pytest.mark.parametrize("out", [".", "..", "/"])
def test_a_folder_without_a_name(snapshot, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=r"a release needs a folder of its own|which the release would replace"
    ):
        mpclean.build(source=snapshot, out=out, workers=1, limit=3, force=True)


def test_a_build_that_fails_leaves_nothing(rock_salt, tmp_path, monkeypatch):
    """The file ends in the middle, after several batches."""
    monkeypatch.setattr(base, "BATCH_SIZE", 4)
    monkeypatch.setattr("mpclean.sources.json_stream._CHUNK", 1000)
    path = tmp_path / "docs.json"
    path.write_text(json.dumps([rock_salt(n) for n in range(12)])[:-40])
    with pytest.raises(UserError, match=r"docs\.json: damaged or not json"):
        mpclean.build(source=path, out=tmp_path / "r", workers=1)
    assert [p.name for p in tmp_path.iterdir()] == ["docs.json"]


def test_a_failed_replacement_leaves_the_old_release(snapshot, tmp_path, monkeypatch):
    out = tmp_path / "r"
    mpclean.build(source=snapshot, out=out, workers=1, limit=3)
    before = contents(out)
    monkeypatch.setattr("mpclean.pipeline.writing.seal", lambda folder, manifest: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mpclean.build(source=snapshot, out=out, workers=1, force=True, limit=3)
    assert contents(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


STOPPED = """
import sys, time
from mpclean.pipeline import run as pipeline
def stop(*args, **options):
    print("here", flush=True)
    time.sleep(600)
{where} = stop
pipeline.build(source=sys.argv[1], out=sys.argv[2], workers=1, force=True, limit=2)
"""


@pytest.mark.parametrize("where", ["pipeline.Passes.bond", "pipeline.move_into_place"])
@pytest.mark.slow
def test_a_killed_build_leaves_the_old_release_or_none(snapshot, tmp_path, where):
    out = tmp_path / "r"
    if where == "pipeline.move_into_place":
        mpclean.build(source=snapshot, out=out, workers=1, limit=3)
    before = contents(out)
    command = [sys.executable, "-c", STOPPED.format(where=where), str(snapshot), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert contents(out) == before
    assert out.exists() == bool(before)
    release = mpclean.build(source=snapshot, out=out, workers=1, force=True, limit=5)
    assert release.verify() == []
    assert release.table().num_rows == 5
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_two_builds_into_one_folder(snapshot, tmp_path):
    with (tmp_path / ".r.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="r: another command is writing it; wait for that") as caught:
            mpclean.build(source=snapshot, out=tmp_path / "r", workers=1)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()
    assert mpclean.build(source=snapshot, out=tmp_path / "r", workers=1, limit=3).verify() == []


# ---------------------------------------------------------------- what is known not to hold


def test_no_record_passes_the_rules(write_lines, structure_dict, tmp_path):
    molecule = structure_dict([[9, 0, 0], [0, 9, 0], [0, 0, 9]], ("N", "N"), [(0, 0, 0), (0, 0, 0.12)])
    path = write_lines(tmp_path / "docs.jsonl", [{"material_id": "mp-1", "structure": molecule}])
    with pytest.raises(UserError, match="no record is left"):
        mpclean.build(source=path, out=tmp_path / "r", workers=1)


#: As people write a script: a build at its top level, without a main guard.
PLAIN = """
import mpclean
release = mpclean.build(source={source!r}, out={out!r}, workers=2)
print("built", release.content_hash)
"""


@pytest.mark.parametrize("where", ["file", "standard input"])
def test_a_plain_script_builds(snapshot, tmp_path, monkeypatch, where):
    monkeypatch.setattr(base, "BATCH_SIZE", 4)
    expected = mpclean.build(source=snapshot, out=tmp_path / "expected", workers=1)
    script = tmp_path / "script.py"
    script.write_text(PLAIN.format(source=str(snapshot), out=str(tmp_path / "r")))
    command = [sys.executable, *([str(script)] if where == "file" else [])]
    text = script.read_text() if where == "standard input" else ""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.splitlines() == [f"built {expected.content_hash}"]


WAITING = """
import psutil, time
from mpclean.pipeline.executor import run
for result in run(abs, [-1, -2, -3], 2):
    print(*(child.pid for child in psutil.Process().children()), flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_workers_end_with_their_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(WAITING)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        workers = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert len(workers) == 2
    waited = 0
    while left := [pid for pid in workers if Path("/proc", str(pid)).exists()]:
        if waited == 30:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"workers {left} are still there")
        time.sleep(0.1)
        waited += 1


@pytest.mark.slow
def test_a_build_killed_between_its_last_two_steps_loses_nothing(snapshot, tmp_path):
    built = mpclean.build(source=snapshot, out=tmp_path / "r", workers=1, limit=3)
    before = built.manifest
    (tmp_path / "r").rename(tmp_path / ".r.replaced")  # as far as the killed build came
    with pytest.raises(UserError, match="exists already"):
        mpclean.build(source=snapshot, out=tmp_path / "r", workers=1, limit=4)
    assert mpclean.open_release(tmp_path / "r").manifest == before
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
