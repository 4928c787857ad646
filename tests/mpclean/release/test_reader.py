"""What a release gives back, and what `verify` finds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import mpclean
from mpclean import UserError
from mpclean.release import writer
from mpclean.release.layout import FORMAT_VERSION
from mpclean.release.manifest import seal_values
from mpclean.vocabulary.checks import require
from mpclean.vocabulary.schema import LEDGER, PARTS, RELEASE, SINCE_FORMAT


def problems(folder):
    """What a reader is told of a release: lines of `verify`, or the error that opening it raises."""
    try:
        return mpclean.open_release(folder).verify()
    except UserError as error:
        return [str(error)]


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


FORMATS = sorted((Path(__file__).parent / "formats").iterdir())


def test_there_is_a_release_of_every_older_format():
    assert [folder.name for folder in FORMATS] == [f"v{n + 1}" for n in range(FORMAT_VERSION - 1)]
    found = [mpclean.open_release(folder).manifest.format_version for folder in FORMATS]
    assert found == list(range(1, FORMAT_VERSION))


@pytest.mark.parametrize("folder", FORMATS, ids=lambda folder: folder.name)
def test_an_older_release_is_read(folder):
    """What it lacks is null where it is asked for, and stays away where it is not."""
    release = mpclean.open_release(folder)
    assert release.verify() == []
    later = [name for name, since in SINCE_FORMAT.items() if since > release.manifest.format_version]
    assert later
    assert not set(later) & set(release.table().column_names)
    rows = release.table(columns=list(RELEASE.names))
    require(rows, RELEASE, "rows of an older release")
    for name in RELEASE.names:
        assert (rows[name].null_count == len(rows)) == (name in (*later, "is_hubbard", "magnetic_moments")), (
            name
        )
    assert release.find(rows["material_id"][0].as_py()) is not None


def test_intact(small_release, demo_release):
    assert small_release.verify() == []
    assert demo_release.verify() == []


def test_every_file_is_listed(small_release):
    listed = set(small_release.manifest.files) | {"manifest.json"}
    assert {
        path.relative_to(small_release.path).as_posix() for path in files_of(small_release.path)
    } == listed
    assert {"README.md", "ledger/excluded.parquet", "splits/random.parquet"} < listed


def test_any_changed_byte(copied):
    rng = np.random.default_rng(0)
    for path in files_of(copied.path):
        intact = path.read_bytes()
        n = len(intact)
        positions = {0, n - 1, *rng.integers(0, n, 40 if path.name == "manifest.json" else 6).tolist()}
        for position in positions:
            changed = bytearray(intact)
            changed[position] ^= 1 << int(rng.integers(8))
            path.write_bytes(changed)
            (line,) = problems(copied.path)
            assert path.name in line, position
        path.write_bytes(intact)
    assert problems(copied.path) == []


def test_truncated_grown_missing(copied):
    for path in files_of(copied.path):
        name = path.relative_to(copied.path).as_posix()
        intact = path.read_bytes()
        for spoiled in (
            intact[:-1],
            intact[: len(intact) // 2],
            b"",
            intact + b"\n",
            intact + b"\0",
            intact * 2,
        ):
            path.write_bytes(spoiled)
            (line,) = problems(copied.path)
            assert path.name in line
        path.unlink()
        (line,) = problems(copied.path)
        assert line == f"missing: {name}" or "manifest.json" in line
        path.write_bytes(intact)


@pytest.mark.parametrize(
    "name", ["notes.txt", "data/train-00001-of-00001.parquet", ".hidden", "deep/er/file"]
)
def test_extra_file(copied, name):
    (copied.path / name).parent.mkdir(parents=True, exist_ok=True)
    (copied.path / name).touch()
    assert problems(copied.path) == [f"extra: {name}"]


def test_two_files_exchanged(copied):
    data = sorted((copied.path / "data").iterdir())
    one, other = data[0].read_bytes(), data[1].read_bytes()
    data[0].write_bytes(other)
    data[1].write_bytes(one)
    assert problems(copied.path) == [f"changed: data/{path.name}" for path in data[:2]]


def test_link_in_place_of_a_file(copied, tmp_path):
    path = copied.path / "README.md"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert problems(copied.path) == ["changed: README.md (a link, not a file)"]


def test_link_to_a_folder(copied, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (copied.path / "more").symlink_to(tmp_path / "elsewhere")
    assert problems(copied.path) == ["extra: more"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: json.dumps(m),
        lambda m: json.dumps(m, indent=2, sort_keys=True, ensure_ascii=False),  # the last line break
        lambda m: " " + seal_values(m).decode(),
        lambda m: seal_values(m).decode() + "\n",
        lambda m: seal_values(m).decode().replace('"name": ', '"name":  '),
        lambda m: json.dumps({**m, "name": "other"}, indent=2, sort_keys=True, ensure_ascii=False) + "\n",
        lambda m: json.dumps(
            {key: value for key, value in m.items() if key != "manifest_sha256"},
            indent=2, sort_keys=True, ensure_ascii=False,
        ) + "\n",
        lambda m: "[]",
        lambda m: "null",
        lambda m: "{",
        lambda m: "",
        lambda m: "[" * 100_000,
        lambda m: b"\xff\xfe",
    ],
)  # fmt: skip
def test_manifest_written_otherwise(copied, spoil):
    text = spoil(json.loads((copied.path / "manifest.json").read_bytes()))
    raw = text if isinstance(text, bytes) else text.encode()
    path = copied.path / "manifest.json"
    assert raw != path.read_bytes()
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r"manifest\.json: the manifest was changed or damaged"):
        mpclean.open_release(copied.path)


def test_newer_format(copied):
    (copied.path / "manifest.json").write_bytes(seal_values({"format_version": 99}))
    with pytest.raises(UserError, match="format 99 is newer than this program reads"):
        mpclean.open_release(copied.path)


def test_no_release(tmp_path):
    with pytest.raises(UserError, match=r"nothing: no such release; build one with"):
        mpclean.open_release(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"not a release, it has no manifest\.json"):
        mpclean.open_release(tmp_path)


def test_tables(small_release):
    whole = small_release.table()
    assert whole.schema.remove_metadata().equals(RELEASE)
    parts = {part: small_release.table(part=part) for part in PARTS}
    assert {split: part.num_rows for split, part in parts.items()} == small_release.manifest.splits
    assert {split: part.num_rows for split, part in parts.items()} == {
        "train": 16,
        "validation": 2,
        "test": 2,
    }
    ids = [i for part in parts.values() for i in part["material_id"].to_pylist()]
    assert ids == whole["material_id"].to_pylist()
    assert len(set(ids)) == 20


def test_columns_in_the_order_wanted(small_release):
    names = ["efermi", "material_id", "lattice"]
    assert small_release.table("test", columns=names).column_names == names


def test_ledger(small_release, demo_release):
    assert small_release.ledger().num_rows == 0
    assert demo_release.ledger().schema.remove_metadata().equals(LEDGER)
    assert demo_release.ledger().num_rows == 150 - demo_release.table().num_rows > 0


def test_unknown_split_or_column(small_release):
    with pytest.raises(
        UserError, match=r"unknown part 'valid'; did you mean 'validation'\? Known: train, validation, test"
    ):
        small_release.table("valid")
    with pytest.raises(UserError, match="unknown column 'energy'; known: material_id, "):
        small_release.table(columns=["energy"])


def test_damaged_shard_names_the_way_out(copied):
    path = next((copied.path / "data").glob("test-*"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"cannot be read .*; try: mpclean verify") as caught:
        copied.table()
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_paths_may_be_relative(small_release, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_release.path, "here")
    assert mpclean.open_release("here").verify() == []
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize("config", ["insulators", "efermi"])
def test_configurations(demo_release, config):
    counts = demo_release.manifest.counts[config]
    for split in PARTS:
        rows = demo_release.table(split, config=config)
        assert rows.num_rows == counts[split].num_examples
        assert rows.equals(pa.concat_tables(demo_release.batches(split, config=config)))
    whole = demo_release.table(config=config)
    if config == "insulators":
        assert pc.all(whole["is_insulator"]).as_py()
        assert whole.column_names == demo_release.manifest.columns
    else:
        assert whole["efermi"].null_count == 0
        assert whole.num_rows < demo_release.table().num_rows
        assert not {"band_gap", "e_above_hull"} & set(whole.column_names)


def test_columns_of_a_configuration(demo_release):
    """Those that choose its rows need not be among those that are read."""
    ids = demo_release.table(columns=["material_id"], config="insulators")
    assert ids.column_names == ["material_id"]
    assert ids["material_id"].equals(demo_release.table(config="insulators")["material_id"])


def test_unknown_configuration(small_release):
    with pytest.raises(UserError, match="unknown configuration 'metals'; known: default, insulators, "):
        small_release.table(config="metals")


def test_batches_are_row_groups(snapshot, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "ROW_GROUP", 5)
    release = mpclean.build(source=snapshot, out=tmp_path / "salts", workers=1)
    assert [rows.num_rows for rows in release.batches("train")] == [5, 5, 5, 1]
    assert release.table("train").num_rows == 16
    # A record is found in whatever row group it lies.
    for expected in release.table().to_pylist():
        row, place = release.find(expected["material_id"])
        path, number = place.split(", row ")
        assert row == expected
        assert pq.read_table(release.path / path).slice(int(number), 1).to_pylist() == [expected]
    assert release.find("mp-0") is None


def test_pandas(demo_release):
    frame = demo_release.to_pandas("train", ["material_id", "band_gap"], "insulators")
    table = demo_release.table("train", ["material_id", "band_gap"], "insulators")
    assert list(frame.columns) == ["material_id", "band_gap"]
    assert list(frame["material_id"]) == table["material_id"].to_pylist()
    assert (frame["band_gap"] > 0).all()


def test_crystals(demo_release):
    crystals = list(demo_release.crystals())
    rows = demo_release.table().to_pylist()
    for (crystal, labels), row in zip(crystals, rows, strict=True):
        assert crystal.lattice.ravel().tolist() == row["lattice"]
        assert crystal.atomic_numbers.tolist() == row["atomic_numbers"]
        assert crystal.frac_coords.ravel().tolist() == row["frac_coords"]
        known = {name: value for name, value in row.items() if value is not None}
        assert labels == {name: value for name, value in known.items() if not isinstance(value, list)}
    assert any("efermi" not in labels for _, labels in crystals)  # a label that is null
    assert "band_gap" not in next(demo_release.crystals(config="efermi"))[1]


def test_crystals_come_as_they_are_read(copied):
    """What is damaged further on does not stop what comes before it."""
    path = next((copied.path / "data").glob("test-*"))
    path.write_bytes(b"no Parquet")
    structures = copied.structures()
    assert len([next(structures) for _ in range(18)]) == 18
    with pytest.raises(UserError, match=r"test-.*parquet: cannot be read"):
        next(structures)


def test_a_release_says_what_it_is(small_release):
    manifest = small_release.manifest
    n = sum(manifest.splits.values())
    assert repr(small_release) == f"Release({manifest.name!r} 1.0.0: {n:,} crystals, splits random)"
    assert f"<td>{manifest.splits['train']:,}</td>" in small_release._repr_html_()
    hostile = mpclean.Release(small_release.path, manifest.changed(name="<script>"))
    assert "<script>" not in hostile._repr_html_()


def test_verify_as_a_function(small_release):
    assert mpclean.verify(small_release.path) == []
