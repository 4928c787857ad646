"""What every door asks of a crystal: one test for each fact, over all doors there are.

A door is a format, object or document that becomes crystals. It registers itself by `door`, and writes a
`Sample`, or says why its format cannot express what is asked. The last tests fail where a kind of file or a
source has no door here, so that a new one cannot forget a fact.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import ase
import ase.db
import ase.io
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.core import DummySpecies, Lattice, Structure

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.formula import formula
from mpclean.crystal.reading import files, read_file, read_object, read_structure
from mpclean.crystal.reading.facts import NOT_PERIODIC, PARTIAL, UNKNOWN_ELEMENT
from mpclean.errors import RecordError
from mpclean.sources import SOURCES, open_source, recognise
from mpclean.sources.documents import read_documents


@dataclass(frozen=True)
class Sample:
    """Two atoms in a cubic cell, A, the first at the origin and the second at its centre."""

    labels: tuple[str, str] = ("Li", "F")
    share: float = 1.0
    other: str | None = None  # what fills the rest of the first site
    pbc: tuple[bool, bool, bool] = (True, True, True)
    edge: float = 4.0
    id: str = "0012"


@dataclass(frozen=True)
class Found:
    """What came through a door."""

    formula: str | None
    reason: str | None
    detail: str
    note: str
    id: str | None = None
    edge: float | None = None


class CannotSayError(Exception):
    """A format has no way to express it."""


Door = Callable[[Path, list[Sample]], list[Found]]
DOORS: dict[str, Door] = {}


def door(write: Door) -> Door:
    """Register a door under the name of its function."""
    DOORS[write.__name__] = write
    return write


def judged(read: Callable[[], object], name: str | None = None) -> Found:
    try:
        reading = read()
    except RecordError as error:
        return Found(None, error.reason, error.detail, "", name)
    crystal = reading.crystal
    edge = float(np.linalg.norm(crystal.lattice[0]))
    return Found(formula(crystal.atomic_numbers), None, "", "; ".join(reading.notes), name, edge)


def of_file(path: Path) -> list[Found]:
    def result(entry: files.Entry) -> object:
        if entry.problem is not None:
            raise entry.problem
        return entry.reading

    return [judged(lambda entry=entry: result(entry)) for entry in read_file(path)]


def of_source(path: Path, kind: str) -> list[Found]:
    assert recognise(path) == kind
    rows = [
        row
        for batch in open_source(kind, path).batches()
        for row in read_documents(batch).to_pylist()
    ]  # fmt: skip
    return [
        Found(
            row["formula"] if row["reason"] is None else None,
            row["reason"],
            row["detail"] or "",
            row["note"] or "",
            row["material_id"],
            None if row["lattice"] is None else float(np.linalg.norm(row["lattice"][:3])),
        )
        for row in rows
    ]


def shares(sample: Sample) -> dict[str, float]:
    first = {sample.labels[0]: sample.share}
    return first if sample.other is None else first | {sample.other: round(1 - sample.share, 6)}


def only_periodic(sample: Sample) -> None:
    if not all(sample.pbc):
        raise CannotSayError("always periodic")


def alone(samples: list[Sample]) -> Sample:
    if len(samples) > 1:
        raise CannotSayError("holds one crystal")
    return samples[0]


def only_full(sample: Sample) -> None:
    if sample.share != 1.0:
        raise CannotSayError("has no occupancies")


# ---------------------------------------------------------------- files


def cif_text(sample: Sample) -> str:
    only_periodic(sample)
    cell = "".join(f"_cell_length_{x} {sample.edge}\n" for x in "abc")
    cell += "".join(f"_cell_angle_{x} 90\n" for x in ("alpha", "beta", "gamma"))
    sites = [f"{label} 0 0 0 {share}" for label, share in shares(sample).items()]
    sites.append(f"{sample.labels[1]} 0.5 0.5 0.5 1")
    names = ("label", "fract_x", "fract_y", "fract_z", "occupancy")
    loop = "loop_\n" + "".join(f"_atom_site_{name}\n" for name in names)
    return f"data_{sample.id}\n{cell}_space_group_IT_number 1\n{loop}" + "\n".join(sites) + "\n"


@door
def cif(folder, samples):
    (folder / "a.cif").write_text("".join(cif_text(sample) for sample in samples))
    return of_file(folder / "a.cif")


@door
def cif_packed(folder, samples):
    text = "".join(cif_text(sample) for sample in samples)
    (folder / "a.CIF.gz").write_bytes(gzip.compress(text.encode("utf-16")))
    return of_file(folder / "a.CIF.gz")


@door
def mcif(folder, samples):
    (folder / "a.mcif").write_text("".join(cif_text(sample) for sample in samples))
    return of_file(folder / "a.mcif")


@door
def cgcnn(folder, samples):
    for sample in samples:
        (folder / f"{sample.id}.cif").write_text(cif_text(sample))
    (folder / "id_prop.csv").write_text("".join(f"{sample.id},1.5\n" for sample in samples))
    return of_source(folder, "cgcnn")


@door
def structures(folder, samples):
    for sample in samples:
        (folder / f"{sample.id}.cif").write_text(cif_text(sample))
    found = {one.id: one for one in of_source(folder, "structures")}
    return [found[sample.id] for sample in samples]


def poscar_text(sample: Sample) -> str:
    only_periodic(sample)
    only_full(sample)
    rows = "\n".join(" ".join(f"{sample.edge if i == j else 0.0}" for j in range(3)) for i in range(3))
    return f"salt\n1.0\n{rows}\n{' '.join(sample.labels)}\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"


@door
def poscar(folder, samples):
    (folder / "POSCAR").write_text(poscar_text(alone(samples)))
    return of_file(folder / "POSCAR")


@pytest.mark.parametrize("name", ["a.vasp", "a.poscar", "CONTCAR", "POSCAR_1.bz2", "a.contcar"])
def test_names_of_poscar(tmp_path, name):
    import bz2

    data = poscar_text(Sample()).encode()
    (tmp_path / name).write_bytes(bz2.compress(data) if name.endswith("bz2") else data)
    assert [found.formula for found in of_file(tmp_path / name)] == ["Li1 F1"]


DOORS |= dict.fromkeys(("vasp", "contcar"), poscar)  # other names of the same, see the test above


@door
def res(folder, samples):
    sample = alone(samples)
    only_periodic(sample)
    edge, names = sample.edge, dict.fromkeys([*shares(sample), sample.labels[1]])
    numbers = {name: n for n, name in enumerate(names, 1)}
    sites = [f"{label} {numbers[label]} 0 0 0 {share}" for label, share in shares(sample).items()]
    sites.append(f"{sample.labels[1]} {numbers[sample.labels[1]]} 0.5 0.5 0.5 1.0")
    text = [f"TITL salt 0 {edge**3} -1 0 0 2 (P1) n - 1", f"CELL 1.54 {edge} {edge} {edge} 90 90 90"]
    text += ["LATT -1", "SFAC " + " ".join(names), *sites, "END", ""]
    (folder / "a.res").write_text("\n".join(text))
    return of_file(folder / "a.res")


def frame(sample: Sample) -> str:
    e = sample.edge
    header = f'Lattice="{e} 0 0 0 {e} 0 0 0 {e}" Properties=species:S:1:pos:R:3:spacegroup_kinds:I:1'
    header += f' material_id={sample.id} pbc="{" ".join("T" if p else "F" for p in sample.pbc)}"'
    if sample.share != 1.0:
        occupancy = json.dumps({"0": shares(sample), "1": {sample.labels[1]: 1}}).replace('"', r"\"")
        header += f' occupancy="_JSON {occupancy}"'
    half = e / 2
    return f"2\n{header}\n{sample.labels[0]} 0 0 0 0\n{sample.labels[1]} {half} {half} {half} 1\n"


@door
def extxyz(folder, samples):
    (folder / "a.extxyz").write_text("".join(map(frame, samples)))
    (folder / "b.xyz").write_text("".join(map(frame, samples)))
    assert of_file(folder / "a.extxyz") == of_file(folder / "b.xyz")
    return of_source(folder / "a.extxyz", "ase")


DOORS |= {"xyz": extxyz}


@door
def extxyz_with_a_column_of_occupancies(folder, samples):
    if any(sample.other for sample in samples):
        raise CannotSayError("one species a site")
    text = "".join(
        frame(replace(sample, share=1.0))
        .replace("spacegroup_kinds:I:1", "occupancy:R:1")
        .replace(" 0 0 0 0\n", f" 0 0 0 {sample.share}\n")
        for sample in samples
    )
    (folder / "a.extxyz").write_text(text)
    return of_source(folder / "a.extxyz", "ase")


@door
def xsf(folder, samples):
    """One of the many that only ASE reads."""
    sample = alone(samples)
    only_full(sample)
    if sample.labels != ("Li", "F"):
        raise CannotSayError("writes atomic numbers")
    atoms(sample).write(folder / "a.xsf")
    return of_file(folder / "a.xsf")


def only_symbols(samples: list[Sample]) -> Sample:
    """Other species of these formats are refused in the words of ASE, see `test_files`."""
    sample = alone(samples)
    only_full(sample)
    if sample.labels != ("Li", "F"):
        raise CannotSayError("read by ASE, which knows symbols")
    return sample


@door
def aims(folder, samples):
    sample = only_symbols(samples)
    if any(sample.pbc) and not all(sample.pbc):
        raise CannotSayError("is periodic or is not")
    sites = "".join(
        f"atom {x} {x} {x} {label}\n" for x, label in zip((0, sample.edge / 2), sample.labels, strict=True)
    )
    rows = [f"lattice_vector {' '.join(map(str, row))}\n" for row in np.eye(3) * sample.edge]
    (folder / "geometry.in").write_text("".join(rows if all(sample.pbc) else []) + sites)
    return of_file(folder / "geometry.in")


@door
def quantum_espresso(folder, samples):
    sample = only_symbols(samples)
    only_periodic(sample)
    files_of_potentials = {label: f"{label}.upf" for label in sample.labels}
    atoms(sample).write(folder / "a.pwi", format="espresso-in", pseudopotentials=files_of_potentials)
    return of_file(folder / "a.pwi")


def atoms(sample: Sample) -> ase.Atoms:
    if not set(sample.labels) <= set(ase.data.chemical_symbols):
        raise CannotSayError("ASE has atomic numbers only")
    half = sample.edge / 2
    made = ase.Atoms(sample.labels, [[0, 0, 0], [half] * 3], cell=[sample.edge] * 3, pbc=sample.pbc)
    if sample.share != 1.0:
        made.info["occupancy"] = {"0": shares(sample), "1": {sample.labels[1]: 1}}
        made.set_array("spacegroup_kinds", np.array([0, 1]))
    return made


@door
def ase_database(folder, samples):
    database = ase.db.connect(folder / "a.db")
    for sample in samples:
        made = atoms(sample)
        # ASE refuses text that looks like a number, as an id of a row may.
        database.write(made, material_id=f"mp-{sample.id}", data=made.info)
    return [
        replace(one, id=one.id and one.id.removeprefix("mp-")) for one in of_source(folder / "a.db", "ase")
    ]


# ---------------------------------------------------------------- objects


@door
def ase_atoms(folder, samples):
    return [judged(lambda s=sample: read_object(atoms(s)), sample.id) for sample in samples]


def pymatgen(sample: Sample) -> Structure:
    lattice = Lattice(np.eye(3) * sample.edge, pbc=sample.pbc)
    if sample.labels[0] == "Xx":
        return Structure(lattice, [DummySpecies("Xx"), sample.labels[1]], [[0, 0, 0], [0.5] * 3])
    if sample.labels[0] not in ("Li", "D", "T"):
        raise CannotSayError("pymatgen has elements only")
    return Structure(lattice, [shares(sample), sample.labels[1]], [[0, 0, 0], [0.5] * 3])


@door
def pymatgen_structure(folder, samples):
    return [judged(lambda s=sample: read_object(pymatgen(s)), sample.id) for sample in samples]


@door
def crystal(folder, samples):
    """A `Crystal` was judged when it was made."""
    if any(sample.labels != ("Li", "F") or sample.share != 1.0 for sample in samples):
        raise CannotSayError("holds elements only")
    for sample in samples:
        only_periodic(sample)
    made = [
        Crystal(np.eye(3) * s.edge, np.array([3, 9], np.uint8), np.array([[0, 0, 0], [0.5] * 3]))
        for s in samples
    ]
    return [judged(lambda c=one: read_object(c), s.id) for one, s in zip(made, samples, strict=True)]


# ---------------------------------------------------------------- documents


def structure_dict(sample: Sample) -> dict:
    sites = [
        {"species": [{"element": label, "occu": share} for label, share in shares(sample).items()],
         "abc": [0, 0, 0]},
        {"species": [{"element": sample.labels[1], "occu": 1}], "abc": [0.5, 0.5, 0.5]},
    ]  # fmt: skip
    return {"lattice": {"matrix": (np.eye(3) * sample.edge).tolist(), "pbc": sample.pbc}, "sites": sites}


@door
def document(folder, samples):
    rows = [{"material_id": sample.id, "structure": structure_dict(sample)} for sample in samples]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return of_source(folder / "a.jsonl", "records")


@door
def document_of_json_text(folder, samples):
    return [
        judged(lambda s=sample: read_structure(json.dumps(structure_dict(s))), sample.id)
        for sample in samples
    ]


@door
def document_of_cif_text(folder, samples):
    return [judged(lambda s=sample: read_structure(cif_text(s)), sample.id) for sample in samples]


@door
def json_file(folder, samples):
    (folder / "a.json").write_text(json.dumps([structure_dict(sample) for sample in samples]))
    return of_file(folder / "a.json")


def optimade_row(sample: Sample) -> dict:
    site = {
        "name": "first",
        "chemical_symbols": list(shares(sample)),
        "concentration": list(shares(sample).values()),
    }
    second = {"name": sample.labels[1], "chemical_symbols": [sample.labels[1]], "concentration": [1.0]}
    half = sample.edge / 2
    return {
        "immutable_id": sample.id,
        "lattice_vectors": (np.eye(3) * sample.edge).tolist(),
        "cartesian_site_positions": [[0.0, 0.0, 0.0], [half] * 3],
        "species_at_sites": ["first", sample.labels[1]],
        "species": [site, second],
        "dimension_types": [int(p) for p in sample.pbc],
        "nsites": 2,
    }


@door
def optimade(folder, samples):
    return [judged(lambda s=sample: read_structure(optimade_row(s)), sample.id) for sample in samples]


@door
def lemat(folder, samples):
    pq.write_table(pa.Table.from_pylist([optimade_row(sample) for sample in samples]), folder / "a.parquet")
    return of_source(folder / "a.parquet", "lemat")


@door
def entries(folder, samples):
    made = [
        {
            "@class": "ComputedStructureEntry",
            "energy": -9.0,
            "composition": {"Li": 1, "F": 1} if sample.labels[0] == "Li" else None,
            "entry_id": sample.id,
            "structure": structure_dict(sample),
        }
        for sample in samples
    ]
    for entry in made:
        if entry["composition"] is None:
            raise CannotSayError("its composition would be refused before")
    (folder / "a.json").write_text(json.dumps(made))
    return of_source(folder / "a.json", "entries")


@door
def table(folder, samples):
    rows = "".join(f'{sample.id},"{cif_text(sample)}"\n' for sample in samples)
    (folder / "a.csv").write_text("material_id,cif\n" + rows)
    return of_source(folder / "a.csv", "table")


@door
def perov5(folder, samples):
    if len({sample.id for sample in samples}) < 2:
        samples = [*samples, Sample(id="b")]
    header = "material_id,cif,formula,heat_all,heat_ref,dir_gap,ind_gap\n"
    rows = [f'{s.id},"{cif_text(s)}",LiF,1.5,1.25,0.0,0.5\n' for s in [*samples, Sample(id="c")]]
    for name, some in (("train", rows[:-2]), ("val", rows[-2:-1]), ("test", rows[-1:])):
        (folder / f"{name}.csv").write_text(header + "".join(some))
    return of_source(folder, "perov-5")[: len(samples)]


# ---------------------------------------------------------------- facts


@pytest.fixture(params=list(DOORS))
def through(request, tmp_path):
    """A door: what comes through it of some samples; skips where its format cannot express them."""

    def go(*samples: Sample) -> list[Found]:
        try:
            return DOORS[request.param](tmp_path, list(samples))[: len(samples)]
        except CannotSayError as reason:
            pytest.skip(f"{request.param}: {reason}")

    return go


def test_a_plain_crystal(through):
    (found,) = through(Sample())
    assert (found.formula, found.reason, found.note) == ("Li1 F1", None, "")
    assert found.edge == pytest.approx(4.0)


@pytest.mark.parametrize("other", [None, "Na"])
def test_partial_occupancy_is_refused(through, other):
    (found,) = through(Sample(share=0.6, other=other))
    assert found.reason == PARTIAL
    assert "0.6" in found.detail


@pytest.mark.parametrize("pbc", [(True, True, False), (False, False, False)])
def test_fewer_than_three_periodic_directions_are_refused(through, pbc):
    (found,) = through(Sample(pbc=pbc))
    assert found.reason == NOT_PERIODIC


def test_deuterium_is_hydrogen_with_a_note(through):
    (found,) = through(Sample(labels=("D", "F")))
    assert (found.formula, found.reason) == ("H1 F1", None)
    assert found.note == "1 atom of deuterium read as hydrogen"


@pytest.mark.parametrize("label", ["Li1", "Li+", "Li1A"])
def test_labels_are_resolved(through, label):
    (found,) = through(Sample(labels=(label, "F")))
    assert (found.formula, found.reason) == ("Li1 F1", None)


@pytest.mark.parametrize("label", ["Xx", "Wat1", "OW1", "T1", "li", "H2O"])
def test_labels_that_name_no_element_are_refused(through, label):
    (found,) = through(Sample(labels=(label, "F")))
    assert found.reason == UNKNOWN_ELEMENT


IDS = ("0012", "12", "7E10", "T", "1_0")


def test_ids_are_text_as_written(through):
    found = through(*(Sample(edge=4 + n / 10, id=name) for n, name in enumerate(IDS)))
    assert [one.formula for one in found] == ["Li1 F1"] * len(IDS)
    if any(one.id for one in found):
        assert [one.id for one in found] == list(IDS)


def test_every_one_of_several_is_a_record_or_has_its_reason(through):
    found = through(Sample(id="a"), Sample(id="b", edge=0.01), Sample(id="c", edge=5.0))
    assert [one.formula for one in found] == ["Li1 F1", None, "Li1 F1"]
    assert found[1].reason == "cell has no volume"
    assert [one.edge for one in found] == [pytest.approx(4.0), None, pytest.approx(5.0)]


# ---------------------------------------------------------------- the register

#: Doors under which a kind of file or of source is known here.
NAMES = {".cif": "cif", ".mcif": "mcif", ".json": "json_file", "ase": "extxyz", "records": "document",
         "perov-5": "perov5", "structures": "cif", ".in": "aims", ".pwi": "quantum_espresso"}  # fmt: skip

#: What has no door: sources that write or fetch documents as `records` reads them, and what is refused.
NO_DOORS = {"demo", "materials-project", ".cell"}


def test_every_kind_of_file_and_source_has_a_door():
    known = {*files.ENDINGS, *SOURCES} - NO_DOORS
    missing = {name for name in known if NAMES.get(name, name.removeprefix(".")) not in DOORS}
    assert not missing, f"register a door for {missing} in this file"


def test_a_door_that_forgets_a_fact_fails(tmp_path):
    """The tests above can fail: a reader that takes the first species of a site for all of it does."""

    def forgets(folder: Path, samples: list[Sample]) -> list[Found]:
        return [Found("Li1 F1", None, "", "", sample.id, sample.edge) for sample in samples]

    with pytest.raises(AssertionError):
        test_partial_occupancy_is_refused(lambda *samples: forgets(tmp_path, list(samples)), None)
