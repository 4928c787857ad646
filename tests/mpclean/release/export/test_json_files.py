"""What pymatgen, pandas and our own source read of JSON."""

import gzip
import json

import pandas as pd
from monty.json import MontyDecoder
from pymatgen.core import Structure

import mpclean


def test_matbench(exported, same_arrays):
    """As matminer's `load_dataframe_from_json` does it: monty decodes, pandas takes the three keys."""
    path, crystals = exported("matbench", "table.json.gz", part="train", target="efermi")
    with gzip.open(path, "rt") as file:
        content = json.load(file, cls=MontyDecoder)
    assert set(content) == {"index", "columns", "data"}
    table = pd.DataFrame(**content)
    expected = [(crystal, labels) for crystal, labels in crystals if "efermi" in labels]
    assert list(table.columns) == ["structure", "efermi"]
    assert list(table.index) == [labels["material_id"] for _, labels in expected]
    assert list(table["efermi"]) == [labels["efermi"] for _, labels in expected]
    for structure, (crystal, _) in zip(table["structure"], expected, strict=True):
        numbers = [site.specie.Z for site in structure]
        same_arrays(structure.lattice.matrix, numbers, structure.frac_coords, crystal)


def test_lines(exported, same_arrays):
    path, expected = exported("jsonl", "crystals.jsonl")
    documents = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(documents) == len(expected)
    for document, (crystal, labels) in zip(documents, expected, strict=True):
        structure = Structure.from_dict(document.pop("structure"))
        numbers = [site.specie.Z for site in structure]
        same_arrays(structure.lattice.matrix, numbers, structure.frac_coords, crystal)
        assert structure.site_properties.get("magmom") == (
            None if crystal.magnetic_moments is None else crystal.magnetic_moments.tolist()
        )
        assert document == labels


def test_a_release_of_the_lines_has_the_same_rows(demo_release, exported, tmp_path):
    path, _ = exported("jsonl", "crystals.jsonl")
    again = mpclean.build(source=path, out=tmp_path / "again", workers=1)
    assert again.ledger().num_rows == 0
    names = [name for name in demo_release.manifest.columns if name != "formula"]  # of another cell
    before, after = (r.to_pandas(columns=names).set_index("material_id") for r in (demo_release, again))
    pd.testing.assert_frame_equal(after.sort_index(), before.sort_index(), check_exact=False, atol=1e-9)


def test_structures_of_releases(demo_release, same_arrays):
    chosen = demo_release.crystals("validation")
    for structure, (crystal, labels) in zip(demo_release.structures("validation"), chosen, strict=True):
        numbers = [site.specie.Z for site in structure]
        same_arrays(structure.lattice.matrix, numbers, structure.frac_coords, crystal)
        assert structure.properties == labels
