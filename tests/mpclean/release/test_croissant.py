"""`croissant.json`: what mlcroissant finds in it and reads through it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mpclean
from mpclean.release.croissant import write_croissant
from mpclean.vocabulary.schema import COLUMNS, PARTS

mlcroissant = pytest.importorskip("mlcroissant")


def opened(release):
    return mlcroissant.Dataset(release.path / "croissant.json")


def stated(release):
    return json.loads((release.path / "croissant.json").read_text())


def plain(value):
    """What Parquet holds, of what mlcroissant makes of it: text as bytes, lists of numpy scalars."""
    if isinstance(value, bytes):
        return value.decode()
    return np.asarray(value).tolist() if value is not None else None


def test_valid(demo_release):
    metadata = opened(demo_release).metadata
    assert metadata.ctx.issues.errors == set()
    # The demo release has no upstream that was ever published.
    assert [warning for warning in metadata.ctx.issues.warnings if "datePublished" not in warning] == []
    assert metadata.name == "demo"
    assert metadata.version == demo_release.manifest.release_version
    assert metadata.license == ["https://creativecommons.org/licenses/by/4.0/"]
    assert metadata.cite_as == demo_release.manifest.upstream.citation
    assert [creator.name for creator in metadata.creators] == ["mpclean"]
    assert metadata.description.startswith("Synthetic: the labels describe no real material. ")


def test_records(demo_release):
    records = list(opened(demo_release).records("crystals"))
    found = {plain(record.pop("crystals/material_id")): record for record in records}
    expected = {split: demo_release.table(split).to_pylist() for split in PARTS}
    assert len(found) == len(records) == sum(map(len, expected.values()))
    for split, rows in expected.items():
        for row in rows:
            record = found[row.pop("material_id")]
            assert plain(record.pop("crystals/split")) == split
            assert {name: plain(value) for name, value in record.items()} == {
                f"crystals/{name}": value for name, value in row.items()
            }


@pytest.mark.parametrize("split", PARTS)
def test_records_of_a_split(demo_release, split):
    records = opened(demo_release).records("crystals", {"crystals/split": split})
    ids = [plain(record["crystals/material_id"]) for record in records]
    assert ids == demo_release.table(split)["material_id"].to_pylist()


def test_splits(small_release):
    content = stated(small_release)
    (splits,) = [records for records in content["recordSet"] if records["@id"] == "splits"]
    assert splits["dataType"] == "cr:Split"
    assert [record["splits/name"] for record in opened(small_release).records("splits")] == list(PARTS)


def test_every_file_with_its_hash(demo_release):
    """All but the two that could not state a hash of themselves."""
    files = {entry["@id"]: entry for entry in stated(demo_release)["distribution"] if "contentUrl" in entry}
    listed = demo_release.manifest.files
    assert set(files) == set(listed) - {"croissant.json"}
    for name, entry in files.items():
        assert entry["sha256"] == listed[name].sha256
        assert entry["contentUrl"] == name
        assert entry["contentSize"] == f"{listed[name].bytes} B"
    assert "croissant.json" in listed


def test_fields_are_the_columns(demo_release):
    (crystals,) = [records for records in stated(demo_release)["recordSet"] if records["@id"] == "crystals"]
    fields = {field["name"]: field for field in crystals["field"]}
    assert list(fields) == ["split", *demo_release.manifest.columns]
    assert fields["formation_energy_per_atom"]["description"] == "formation energy, eV/atom"
    assert fields["nsites"]["description"] == COLUMNS["nsites"].meaning
    assert fields["edge_image"]["isArray"] is True
    assert fields["edge_image"]["dataType"] == "cr:Int8"


@pytest.mark.parametrize(
    ("changes", "published"),
    [
        ({"stated_versions": ["2025.09.25"]}, "2025-09-25"),
        ({"stated_versions": ["2024.11.14", "2025.09.25"], "database_version": "2025.09.25"}, "2025-09-25"),
        ({"stated_versions": ["2024.11.14", "2025.09.25"]}, None),
        ({"stated_versions": ["2021.05"]}, None),
        ({"claimed_version": "2021.05.13"}, None),  # nobody but the user says so
    ],
)
def test_published_when_the_upstream_was(small_release, changes, published):
    manifest = small_release.manifest.changed(
        upstream=small_release.manifest.upstream.model_copy(update=changes)
    )
    assert json.loads(write_croissant(manifest)).get("datePublished") == published


def test_nothing_is_claimed_that_the_source_does_not_state(snapshot, tmp_path, monkeypatch):
    from mpclean.pipeline import plan as pipeline

    def unknown(name, path, **options):
        source = opened_source(name, path, **options)
        return replace(source, identity=replace(source.identity, licence="unknown", citation="unknown: none"))

    opened_source = pipeline.open_source
    monkeypatch.setattr(pipeline, "open_source", unknown)
    content = stated(mpclean.build(source=snapshot, out=tmp_path / "r", workers=1))
    assert not {"license", "creator", "datePublished"} & set(content)
    assert mlcroissant.Dataset(tmp_path / "r" / "croissant.json").metadata.ctx.issues.errors == set()


def test_splits_without_rows(rock_salt, write_lines, tmp_path):
    source = write_lines(tmp_path / "docs.jsonl", [rock_salt(n) for n in range(3)])
    split = tmp_path / "split.csv"
    split.write_text("material_id,split\nmp-1,train\nmp-2,train\nmp-3,test\n")
    release = mpclean.build(source=source, out=tmp_path / "r", split=split, workers=1)
    assert [record["splits/name"] for record in opened(release).records("splits")] == ["train", "test"]
    assert len(list(opened(release).records("crystals"))) == 3


@pytest.fixture(scope="module")
def split_release(small_release, tmp_path_factory):
    """One with a split, folds, and parts of another split whose names are not in their order."""
    path = Path(shutil.copytree(small_release.path, tmp_path_factory.mktemp("split") / "salts"))
    mpclean.split(path, "formula", "by.formula_or-so", workers=1)
    mpclean.split(path, "k-fold", folds=3)
    mpclean.split(path, "learning-curve", of="by.formula_or-so")
    return mpclean.open_release(path)


def test_added_splits_are_valid(split_release):
    content = stated(split_release)
    assert opened(split_release).metadata.ctx.issues.errors == set()
    names = [*split_release.manifest.more_splits]
    assert len(names) == 7
    assert [records["@id"] for records in content["recordSet"]] == [
        record_set
        for end in ("", *(f"-{name}" for name in names))
        for record_set in (f"splits{end}", f"crystals{end}")
    ]
    files = {entry["@id"] for entry in content["distribution"] if "contentUrl" in entry}
    assert files == set(split_release.manifest.files) - {"croissant.json"}


ADDED = ("by.formula_or-so", "k-fold-3", "learning-curve-0.25")


def test_records_of_added_splits(split_release):
    dataset = opened(split_release)
    for name in ADDED:
        expected = {
            row["material_id"]: (split, row)
            for split in PARTS
            for row in split_release.table(split, split=name).to_pylist()
        }
        records = list(dataset.records(f"crystals-{name}"))
        assert len(records) == len(expected)
        for record in records:
            split, row = expected[plain(record[f"crystals-{name}/material_id"])]
            assert plain(record.pop(f"crystals-{name}/split")) == split
            assert {key: plain(value) for key, value in record.items()} == {
                f"crystals-{name}/{key}": value for key, value in row.items()
            }


@pytest.mark.parametrize(("name", "split"), [*zip(ADDED, PARTS, strict=True)])
def test_records_of_a_part_of_an_added_split(split_release, name, split):
    records = opened(split_release).records(f"crystals-{name}", {f"crystals-{name}/split": split})
    ids = sorted(plain(record[f"crystals-{name}/material_id"]) for record in records)
    assert ids == sorted(split_release.table(split, split=name)["material_id"].to_pylist())
