"""The dataset card says what a reader must know, and its head is valid."""

import re
import shutil
from pathlib import Path

import yaml

import mpclean
from mpclean.crystal.reading import read_structure
from mpclean.vocabulary.schema import PARTS, TARGETS


def split_card(release):
    text = (release.path / "README.md").read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def test_head(demo_release):
    head, _ = split_card(demo_release)
    assert head["license"] == "cc-by-4.0"
    assert head["size_categories"] == ["n<1K"]
    configs = {config["config_name"]: config for config in head["configs"]}
    assert set(configs) == {"default", "insulators", *TARGETS}
    assert [config.get("default", False) for config in head["configs"]] == [True] + [False] * 6
    assert configs["insulators"]["filters"] == [["is_insulator", "==", True]]
    for config in head["configs"]:
        for entry in config["data_files"]:
            assert all((demo_release.path / path).is_file() for path in entry["path"])
    for info in head["dataset_info"]:
        assert info["version"] == "1.0.0"
        assert demo_release.content_hash in info["description"]  # what refreshes the cache
        counts = demo_release.manifest.counts[info["config_name"]]
        assert {s["name"]: s["num_examples"] for s in info["splits"]} == {
            name: entry.num_examples for name, entry in counts.items() if entry.num_examples
        }


def test_body(demo_release):
    _, body = split_card(demo_release)
    manifest = demo_release.manifest
    assert manifest.content_hash in body
    assert manifest.upstream.sha256 in body
    for stage in manifest.stages:
        assert re.search(rf"\| {re.escape(stage.title)} +\| +{stage.kept:,} \|", body)
    for name in manifest.columns:
        assert f"`{name}`" in body
    assert "random.seed(0)" in body


def test_it_shows_a_configuration_that_has_rows(demo_release, rock_salt, write_lines, tmp_path):
    _, body = split_card(demo_release)
    assert 'load_dataset("org/name", "insulators", revision="v1.0.0")' in body
    metals = write_lines(tmp_path / "a.jsonl", [rock_salt(n, band_gap=0.0) for n in range(10)])
    _, body = split_card(mpclean.build(source=metals, out=tmp_path / "r", workers=1))
    assert 'load_dataset("org/name", "default", revision="v1.0.0")' in body


def test_a_licence_that_nobody_states_is_not_made_up(rock_salt, tmp_path):
    for n in range(10):
        crystal = read_structure(rock_salt(n)["structure"]).crystal
        crystal.to_pymatgen().to_file(str(tmp_path / f"salt-{n}.cif"))
    (tmp_path / "id_prop.csv").write_text("".join(f"salt-{n},{n}\n" for n in range(10)))
    head, body = split_card(mpclean.build(source=tmp_path, out=tmp_path / "release", workers=1))
    assert head["license"] == "unknown"
    assert "materials-project" not in head["tags"]
    assert "CC BY" not in body
    assert "The source states no licence" in body


def test_synthetic_is_said_everywhere(demo_release):
    head, body = split_card(demo_release)
    assert "SYNTHETIC" in head["pretty_name"]
    assert "synthetic" in head["tags"]
    assert "materials-project" not in head["tags"]
    assert body.lstrip().splitlines()[2].startswith("> **Synthetic data.**")
    assert demo_release.manifest.upstream.synthetic is True
    assert "synthetic" in demo_release.manifest.upstream.citation.lower()
    ids = demo_release.table()["material_id"].to_pylist()
    assert all(i.startswith("demo-") for i in ids)
    ids = demo_release.ledger()["material_id"].to_pylist()
    assert all(i is None or i.startswith("demo-") for i in ids)


def test_other_sources_are_not_called_synthetic(small_release):
    head, body = split_card(small_release)
    assert "synthetic" not in str(head).lower()
    assert "synthetic" not in body.lower()
    assert "materials-project" not in head["tags"]  # nobody states where the records are from
    assert small_release.manifest.upstream.synthetic is False


def test_space_groups_are_compared_where_the_source_states_one(rock_salt, write_lines, tmp_path):
    stated = [225, 225, 216, None, None]
    documents = [rock_salt(n, symmetry={"number": number}) for n, number in enumerate(stated)]
    release = mpclean.build(
        source=write_lines(tmp_path / "a.jsonl", documents), out=tmp_path / "r", workers=1
    )
    assert release.manifest.spacegroups.model_dump() == {"stated": 3, "differ": ["mp-3"]}


def test_the_sources_space_group_counts(rock_salt, write_lines, tmp_path):
    documents = [rock_salt(n, symmetry={"number": number}) for n, number in enumerate([225, 216, None])]
    release = mpclean.build(
        source=write_lines(tmp_path / "a.jsonl", documents), out=tmp_path / "r", workers=1
    )
    rows = release.table(columns=["material_id", "spacegroup_number"]).to_pylist()
    assert {row["material_id"]: row["spacegroup_number"] for row in rows} == {
        "mp-1": 225,
        "mp-2": 216,
        "mp-3": 225,
    }
    assert release.manifest.spacegroups.differ == ["mp-2"]


def test_added_splits_are_told_with_their_counts(small_release, tmp_path):
    path = Path(shutil.copytree(small_release.path, tmp_path / "salts"))
    _, before = split_card(small_release)
    mpclean.split(path, "formula", "mine", fractions=(0.5, 0.3, 0.2), workers=1)
    release = mpclean.open_release(path)
    head, body = split_card(release)
    made = "strategy formula; fractions 0.5 / 0.3 / 0.2; seed 0; keeps apart: formula, key, structure"
    counts = release.manifest.more_splits["mine"].splits
    cells = [r"\| `mine`", re.escape(made), *(str(counts[split]) for split in PARTS)]
    assert re.search(r" +\| +".join(cells), body)
    assert "`mine`" in next(line for line in body.splitlines() if line.startswith("- Configurations: "))
    assert "added split" not in before
    (info,) = [info for info in head["dataset_info"] if info["config_name"] == "mine"]
    assert {part["name"]: part["num_examples"] for part in info["splits"]} == counts
    mpclean.split(path, "formula", "mine", fractions=(0.5, 0.3, 0.2), seed=1, workers=1, force=True)
    head, _ = split_card(release)
    assert [i["description"] for i in head["dataset_info"] if i["config_name"] == "mine"] != [
        info["description"]
    ]
