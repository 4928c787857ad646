"""A path is recognised, and every kind that needs one builds a release."""

import gzip
import json
import re

import ase.io
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

import mpclean
from mpclean.cli import main
from mpclean.crystal.reading import read_structure
from mpclean.errors import UserError
from mpclean.sources import SOURCES, Identity, Kind, Source, open_source, recognise

N = 24  # as many as a random split needs to have three parts


def salts(rock_salt):
    return {f"salt-{n}": read_structure(rock_salt(n)["structure"]).crystal.to_pymatgen() for n in range(N)}


def entries(folder, rock_salt):
    """Entries of two functionals in turn."""
    return [
        {
            "@class": "ComputedStructureEntry",
            "energy": -8.0,
            "composition": structure.composition.as_dict(),
            "entry_id": name,
            "data": {"material_id": name, "run_type": ("GGA", "r2SCAN")[n % 2]},
            "structure": structure.as_dict(),
        }
        for n, (name, structure) in enumerate(salts(rock_salt).items())
    ]


def make_cgcnn(folder, rock_salt):
    for name, structure in salts(rock_salt).items():
        structure.to_file(str(folder / f"{name}.cif"))
    (folder / "id_prop.csv").write_text("".join(f"salt-{n},{n / 4}\n" for n in range(N)))
    return folder


def make_entries(folder, rock_salt):
    path = folder / "entries.json.gz"
    path.write_bytes(gzip.compress(json.dumps(entries(folder, rock_salt)).encode(), mtime=0))
    return path


def make_ase(folder, rock_salt):
    frames = [structure.to_ase_atoms() for structure in salts(rock_salt).values()]
    ase.io.write(folder / "salts.xyz", frames, format="extxyz")
    return folder / "salts.xyz"


def make_lemat(folder, rock_salt):
    rows = [
        {
            "immutable_id": name,
            "lattice_vectors": structure.lattice.matrix.tolist(),
            "cartesian_site_positions": structure.cart_coords.tolist(),
            "species_at_sites": [site.specie.symbol for site in structure],
            "functional": ("pbe", "scan")[n % 2],
        }
        for n, (name, structure) in enumerate(salts(rock_salt).items())
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    return folder / "train.parquet"


def make_perov5(folder, rock_salt):
    row = "{n},{cif},Mg O,1.5,1.25,0.0,0.5\n"
    header = "material_id,cif,formula,heat_all,heat_ref,dir_gap,ind_gap\n"
    cifs = ['"{}"'.format(structure.to(fmt="cif")) for structure in salts(rock_salt).values()]
    for k, name in enumerate(("train", "val", "test")):
        rows = [row.format(n=n, cif=cif) for n, cif in enumerate(cifs) if n % 3 == k]
        (folder / f"{name}.csv").write_text(header + "".join(rows))
    return folder


def make_records(folder, rock_salt):
    (folder / "docs.yaml").write_text(
        yaml.safe_dump([json.loads(json.dumps(rock_salt(n))) for n in range(N)])
    )
    return folder / "docs.yaml"


def make_table(folder, rock_salt):
    """As CDVAE's data sets are: an index without a name, ids, CIF text."""
    rows = [
        f'{n},{name},"{structure.to(fmt="cif")}",{n / 4}\n'
        for n, (name, structure) in enumerate(salts(rock_salt).items())
    ]
    (folder / "train.csv").write_text(",material_id,cif,hardness (GPa)\n" + "".join(rows))
    return folder


MAKE = {
    "table": make_table,
    "cgcnn": make_cgcnn,
    "entries": make_entries,
    "ase": make_ase,
    "lemat": make_lemat,
    "perov-5": make_perov5,
    "records": make_records,
}


@pytest.mark.parametrize("kind", MAKE)
def test_a_path_is_recognised_and_builds_a_release(kind, tmp_path, rock_salt):
    (tmp_path / "source").mkdir()
    path = MAKE[kind](tmp_path / "source", rock_salt)
    assert recognise(path) == recognise(tmp_path / "source") == kind
    release = mpclean.build(source=path, out=tmp_path / "release", workers=1)
    assert release.verify() == []
    assert release.manifest.upstream.source == kind
    assert release.manifest.stages[0].kept == N
    assert release.table().num_rows + release.ledger().num_rows == N
    several = kind in ("entries", "lemat")
    assert release.table().num_rows == (N // 2 if several else N)
    assert ("functional" in release.manifest.parameters.model_dump()) == several


@pytest.mark.slow
def test_workers_do_not_change_a_release(tmp_path, rock_salt):
    path = make_entries(tmp_path, rock_salt)
    one, two = (mpclean.build(source=path, out=tmp_path / str(n) / "release", workers=n) for n in (1, 2))
    assert one.manifest == two.manifest


def test_values_of_cgcnn_are_a_column(tmp_path, rock_salt):
    release = mpclean.build(source=make_cgcnn(tmp_path, rock_salt), out=tmp_path / "release", workers=1)
    rows = {row["material_id"]: row["id_prop"] for row in release.table().to_pylist()}
    assert rows == {f"salt-{n}": n / 4 for n in range(N)}
    assert release.manifest.columns[-1] == "id_prop"


@pytest.mark.parametrize("kind", ["entries", "lemat"])
def test_the_functional_asked_for_is_in_the_manifest(kind, tmp_path, rock_salt):
    path = MAKE[kind](tmp_path, rock_salt)
    other = {"entries": "r2SCAN", "lemat": "SCAN"}[kind]
    pbe = mpclean.build(source=path, out=tmp_path / "pbe", workers=1)
    release = mpclean.build(source=path, out=tmp_path / "other", functional=other, workers=1)
    assert pbe.manifest.parameters.as_dict()["functional"] == "PBE"
    assert release.manifest.parameters.as_dict()["functional"] == other
    ids = set(release.table()["material_id"].to_pylist())
    assert ids == {f"salt-{n}" for n in range(1, N, 2)}
    assert set(release.ledger()["reason"].to_pylist()) == {f"computed with PBE, not {other}"}
    assert set(release.ledger()["material_id"].to_pylist()) == {f"salt-{n}" for n in range(0, N, 2)}


def test_a_functional_that_no_record_has(tmp_path, rock_salt):
    with pytest.raises(UserError, match=r"the first: train\.parquet, row 0: computed with PBE, not PBEsol"):
        mpclean.build(
            source=make_lemat(tmp_path, rock_salt), out=tmp_path / "r", functional="PBEsol", workers=1
        )
    assert not (tmp_path / "r").exists()


def test_an_option_that_a_source_does_not_take(snapshot, tmp_path):
    with pytest.raises(UserError, match="takes no --functional; leave it out"):
        mpclean.build(source=snapshot, out=tmp_path / "r", functional="PBE")


def test_command_line(tmp_path, rock_salt):
    path = str(make_lemat(tmp_path, rock_salt))
    out = str(tmp_path / "release")
    result = CliRunner().invoke(
        main, ["build", "--source", path, "--out", out, "--functional", "SCAN", "--workers", "1"]
    )
    assert result.exit_code == 0, result.output
    assert re.search(r"^readable +12 +12$", result.output, re.MULTILINE)
    wrong = CliRunner().invoke(main, ["build", "--source", path, "--out", out, "--functional", "LDA"])
    assert wrong.exit_code == 2
    assert "'LDA' is not one of 'PBE', 'PBEsol', 'SCAN', 'r2SCAN'" in wrong.output


@pytest.mark.parametrize("name", [name for name, kind in SOURCES.items() if kind.open_name is None])
def test_kinds_that_need_a_path(name):
    with pytest.raises(UserError, match=f"the source {name} is known by its path; give --source PATH"):
        open_source(name, None)


def test_nothing_at_a_path(tmp_path):
    assert recognise(tmp_path / "nothing") == recognise(tmp_path) == "records"


def test_a_known_version_says_what_it_misses_in_a_path(tmp_path, snapshot):
    with pytest.raises(UserError, match=r"no such folder; take the files from github\.com"):
        mpclean.build(version="perov-5", source=snapshot, out=tmp_path / "r")


def made_up(batch, split=None):
    """A kind of source that yields one batch."""
    source = Source(
        Identity("made-up", None, "0" * 64, "unknown", "nobody"), lambda: iter([batch]), published_split=split
    )
    return Kind(lambda path: source, lambda path: True)


def test_a_new_source_is_told_all_that_is_wrong_with_its_batches(monkeypatch, tmp_path):
    rows = [{"location": "1", "document": "{}"}, {"location": None, "document": None}, {"location": "3"}]
    monkeypatch.setitem(SOURCES, "demo", made_up(pa.RecordBatch.from_pylist(rows)))
    source = open_source("demo", tmp_path)
    with pytest.raises(UserError) as caught:
        list(source.batches())
    assert str(caught.value) == (
        "the source made-up: breaks the schema in 3 ways: document: string where large_binary is expected; "
        "problem: the column is missing, or there twice; location: null (1 records, first row 1)"
    )


def test_a_published_split_that_is_none(monkeypatch, tmp_path):
    split = pa.table({"material_id": ["a", None], "split": ["train", "rest"]})
    monkeypatch.setitem(SOURCES, "demo", made_up(None, split))
    with pytest.raises(UserError) as caught:
        open_source("demo", tmp_path)
    assert str(caught.value) == (
        "the source made-up, published split: breaks the schema in 2 ways: "
        "material_id: null (1 records, first row 1); "
        "split: not one of train, validation, test (1 records, first row 1: 'rest')"
    )
