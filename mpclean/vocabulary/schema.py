"""The one vocabulary: every column that mpclean reads or writes.

A column is named, typed, given its unit and its meaning here and nowhere else. The
tables made of them, on the way from a source to a release:

* a *document*: JSON, as a source yields it (`DOCUMENTS`);
* a *record*: one crystal as a source gave it, read into arrays (`RECORD`);
* a *prepared* record: the same in its primitive cell (`PREPARED`), and its `KEY`;
* a *bonded* record: the same in its canonical cell, with its bonds (`BONDED`);
* a *release row*: one crystal that is kept, with its bonds (`RELEASE`);
* a *ledger row*: one record that left, with the rule and the reason (`LEDGER`).
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from mpclean.crystal.bravais import BRAVAIS_TYPES

#: The names of the splits, in the order of the shards.
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, unit and meaning, and what `mpclean.vocabulary.checks` asks of it.

    Attributes
    ----------
    name
        Name in every table that has the column.
    type
        Arrow type.
    unit
        Unit of the values, empty for labels and counts.
    meaning
        One line for a reader who sees only the table.
    valid
        Smallest and largest value, or item of a list, that a sane record can have, far beyond what is
        known. Numbers are finite in any case.
    required
        Whether a null is an error.
    unless
        A column that excuses a null where it has a value: a record with a reason need not have a cell,
        and one that has a position in the source, and is not in the ledger, no reason.
    allowed
        The only values there are.
    length
        ``(n, column)``: n items for each item of that list, or each unit of that number; n items in
        all where the column is empty. Any number of them by default.
    below
        A list whose items are what the items of this one number, from 0.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    valid: tuple[float, float] | None = None
    required: bool = False
    unless: str | None = None
    allowed: tuple[str, ...] | range | None = None
    length: tuple[int, str] | None = None
    below: str | None = None


_FLOATS = pa.list_(pa.float64())
_INDICES = pa.list_(pa.uint16())

_DEFINITIONS = (
    # What a source yields.
    Column("location", pa.string(), "", "where in the source a document stands", required=True),
    Column("document", pa.large_binary(), "", "JSON", required=True, unless="problem"),
    Column("problem", pa.string(), "", "why the source leaves a document out"),
    # Where a record came from.
    Column("position", pa.int64(), "", "place of the record in its source, from 0", required=True),
    Column("database_version", pa.string(), "", "upstream version that the record itself states"),
    # Who it is.
    Column(
        "material_id",
        pa.string(),
        "",
        "id in the source; numeric (mp-149) wherever a numeric form exists",
        required=True,
        unless="reason",
    ),
    Column(
        "formula",
        pa.string(),
        "",
        "formula of the source's own cell, elements by electronegativity",
        required=True,
        unless="reason",
    ),
    Column(
        "cell_formula",
        pa.string(),
        "",
        "formula of the primitive cell, the deduplication key with the space group",
        required=True,
        unless="reason",
    ),
    Column(
        "reduced_formula",
        pa.string(),
        "",
        "formula divided by the greatest common divisor of its counts",
        required=True,
        unless="reason",
    ),
    Column(
        "spacegroup_number",
        pa.int16(),
        "",
        "international number at symprec 0.1 A; the source's own where given",
        required=True,
        unless="reason",
        allowed=range(1, 231),
    ),
    Column(
        "spacegroup_computed",
        pa.int16(),
        "",
        "international number found here at symprec 0.1 A",
        allowed=range(1, 231),
    ),
    Column(
        "spacegroup_source",
        pa.int16(),
        "",
        "international number stated by the source",
        allowed=range(1, 231),
    ),
    Column(
        "bravais_lattice",
        pa.string(),
        "",
        "Bravais type at symprec 0.01 A, aP to cF; the basis is its own",
        required=True,
        unless="reason",
        allowed=BRAVAIS_TYPES,
    ),
    Column(
        "nsites",
        pa.int16(),
        "",
        "atoms in the primitive cell",
        required=True,
        unless="reason",
        valid=(1, 10_000),
    ),
    # The crystal: the canonical primitive cell.
    Column(
        "lattice",
        _FLOATS,
        "A",
        "rows a, b, c of the primitive cell, 9 numbers",
        required=True,
        unless="reason",
        length=(9, ""),
        valid=(-1e5, 1e5),
    ),
    Column(
        "atomic_numbers",
        pa.list_(pa.uint8()),
        "",
        "atomic number of every atom",
        required=True,
        unless="reason",
        length=(1, "nsites"),
        valid=(1, 118),
    ),
    Column(
        "frac_coords",
        _FLOATS,
        "",
        "fractional coordinates, 3 per atom, in [-0.0013, 0.9988)",
        required=True,
        unless="reason",
        length=(3, "atomic_numbers"),
        valid=(-1e6, 1e6),
    ),
    Column(
        "magnetic_moments",
        _FLOATS,
        "muB",
        "magnetic moment of every atom; null where the source has none",
        length=(1, "atomic_numbers"),
    ),
    # The bond graph, both directions of every bond.
    Column(
        "edge_source",
        _INDICES,
        "",
        "atom that an edge leaves",
        required=True,
        unless="reason",
        below="atomic_numbers",
    ),
    Column(
        "edge_target",
        _INDICES,
        "",
        "atom that an edge enters",
        required=True,
        unless="reason",
        length=(1, "edge_source"),
        below="atomic_numbers",
    ),
    Column(
        "edge_image",
        pa.list_(pa.int8()),
        "",
        "cell of the target atom relative to the source's, 3 per edge",
        required=True,
        unless="reason",
        length=(3, "edge_source"),
    ),
    Column(
        "edge_length",
        pa.list_(pa.float32()),
        "A",
        "length of the bond",
        required=True,
        unless="reason",
        length=(1, "edge_source"),
        valid=(1e-3, 1e3),
    ),
    Column(
        "edge_area",
        pa.list_(pa.float32()),
        "A^2",
        "area of the Voronoi face of the bond; null in a radius graph",
        length=(1, "edge_source"),
        valid=(0.0, 1e9),  # cells may have edges of 1e4 A, and a chain in one has faces as wide as it
    ),
    Column(
        "dimensionality",
        pa.int8(),
        "",
        "largest rank of the lattice translations that bonds close, 0 to 3",
        valid=(0, 3),
    ),
    Column(
        "n_components", pa.int32(), "", "connected components of the bond graph on the 2 x 2 x 2 supercell"
    ),
    Column("n_isolated", pa.int32(), "", "atoms of the primitive cell without a bond"),
    # Labels.
    Column("formation_energy_per_atom", pa.float64(), "eV/atom", "formation energy", (-50.0, 50.0)),
    Column("efermi", pa.float64(), "eV", "Fermi energy", (-100.0, 100.0)),
    Column("band_gap", pa.float64(), "eV", "band gap", (0.0, 50.0)),
    Column("total_magnetization", pa.float64(), "muB", "moment of the source's cell", (-1e4, 1e4)),
    Column(
        "magnetization_per_atom", pa.float64(), "muB/atom", "absolute total moment over the source's atoms"
    ),
    Column("e_above_hull", pa.float64(), "eV/atom", "energy above the convex hull", (-50.0, 50.0)),
    Column("is_insulator", pa.bool_(), "", "band gap above zero; null where the gap is"),
    Column("is_hubbard", pa.bool_(), "", "computed with Hubbard U"),
    Column(
        "run_type", pa.string(), "", "functional that the energy was computed with, as the source says it"
    ),
    Column("correction_scheme", pa.string(), "", "scheme that corrected the energy, as the source says it"),
    Column("licence", pa.string(), "", "licence that the record itself states, by its SPDX name where known"),
    Column("note", pa.string(), "", "what its source or its reader says of the record, as of deuterium"),
    Column("date", pa.string(), "", "day that the source says the record is from, as in 2015-03-08"),
    Column("heat_all", pa.float64(), "eV per cell", "heat of formation (Perov-5)", (-500.0, 500.0)),
    Column("heat_ref", pa.float64(), "eV per cell", "the same, reference phases (Perov-5)", (-500.0, 500.0)),
    Column("dir_gap", pa.float64(), "eV", "direct band gap (Perov-5)", (0.0, 50.0)),
    Column("ind_gap", pa.float64(), "eV", "indirect band gap (Perov-5)", (0.0, 50.0)),
    Column("id_prop", pa.float64(), "", "value of id_prop.csv (CGCNN), which states no meaning and no unit"),
    Column(
        "own_labels",
        pa.map_(pa.string(), pa.float64()),
        "",
        "numbers that a person asked to keep, by name; columns of their own in a release",
    ),
    Column(
        "unknown_fields",
        pa.list_(pa.string()),
        "",
        "names of the numbers that the source states and the schema does not know",
    ),
    Column("synthetic", pa.bool_(), "", "true where the record says that it is made up; else null"),
    # The split and the ledger.
    Column("split", pa.string(), "", "train, validation or test", required=True, allowed=PARTS),
    Column("rule", pa.string(), "", "the rule by which a record was excluded", required=True),
    Column(
        "reason",
        pa.string(),
        "",
        "why, in words that do not depend on the record",
        required=True,
        unless="position",
    ),
    Column("detail", pa.string(), "", "what was found in this record"),
    Column("kept_id", pa.string(), "", "the record that was kept in its place (duplicates)"),
    Column(
        "energy_difference",
        pa.float64(),
        "eV/atom",
        "formation energy above that of the record that was kept; null where one has none",
    ),
    Column(
        "structures_match",
        pa.bool_(),
        "",
        "whether StructureMatcher finds it equal to the record that was kept; null where it cannot say",
    ),
    Column(
        "structure_class",
        pa.int64(),
        "",
        "position of the lowest record of its formula and space group that it equals, or its own",
        required=True,
    ),
)

#: Every column by name.
COLUMNS: dict[str, Column] = {column.name: column for column in _DEFINITIONS}


def schema(*names: str) -> pa.Schema:
    """Make an Arrow schema of columns of the vocabulary.

    Parameters
    ----------
    names
        Column names, in the order wanted.

    Raises
    ------
    KeyError
        If a name is not in the vocabulary.
    """
    return pa.schema([(name, COLUMNS[name].type) for name in names])


#: Numbers that a model can be trained on, in the order in which tables show them.
TARGETS = ("formation_energy_per_atom", "efermi", "magnetization_per_atom", "band_gap", "e_above_hull")

#: Shorter names of targets on the command line, of both commands, and their columns.
TARGET_NAMES = {
    "formation_energy": "formation_energy_per_atom",
    "fermi_energy": "efermi",
    "magnetization": "magnetization_per_atom",
}

#: Labels that only some sources bring; a release has those that its source has.
SOURCE_LABELS = ("heat_all", "heat_ref", "dir_gap", "ind_gap", "id_prop")

#: Words that only some sources state of a record; a release has those that its source has.
SOURCE_WORDS = ("run_type", "correction_scheme", "database_version", "licence", "date", "note")

_LABELS = (*TARGETS, "is_insulator", "is_hubbard", *SOURCE_LABELS, *SOURCE_WORDS)

#: A document of a source, or the reason why it cannot be read. A problem beside a document is the
#: reason, in words that do not depend on the record, why the source leaves it out: it goes to the
#: ledger under its id.
DOCUMENTS = schema("location", "document", "problem")

#: One crystal as the source gave it, or the reason why it could not be read.
RECORD = schema(
    *("material_id", "formula", "spacegroup_source"),
    *("lattice", "atomic_numbers", "frac_coords", "magnetic_moments"),
    *_LABELS,
    *("own_labels", "unknown_fields", "synthetic"),
    *("reason", "detail"),
)

#: What global steps need to know of a record: all that is held in memory for the whole source.
KEY = schema(
    *("position", "material_id", "cell_formula", "nsites", "spacegroup_number"),
    *("formation_energy_per_atom", "reason", "detail"),
)

#: What the rules about bonds need to know of a record.
BONDS = schema("position", "dimensionality", "n_components", "n_isolated", "reason", "detail")

#: A record with its primitive cell or the reason why it has none, between the two passes over the crystals.
PREPARED = schema(
    *("position", "material_id", "formula", "cell_formula", "reduced_formula", "nsites"),
    *("spacegroup_number", "spacegroup_computed", "spacegroup_source"),
    *("lattice", "atomic_numbers", "frac_coords", "bravais_lattice", "magnetic_moments"),
    *_LABELS,
    *("own_labels", "unknown_fields", "synthetic"),
    *("reason", "detail"),
)

#: What is looked at to compare the structures of records with equal formula and space group.
MATCHED = schema("position", "lattice", "atomic_numbers", "frac_coords", "magnetic_moments")

#: What was found: the class of each record, and whether it equals the lowest in energy of them all.
MATCHES = schema("position", "structure_class", "structures_match")

#: One crystal that is kept. `SOURCE_LABELS` and `SOURCE_WORDS` follow where the source has them.
RELEASE = schema(
    *("material_id", "formula", "reduced_formula", "spacegroup_number", "nsites"),
    *("lattice", "atomic_numbers", "frac_coords", "bravais_lattice", "magnetic_moments"),
    *("edge_source", "edge_target", "edge_image", "edge_length", "edge_area"),
    *("formation_energy_per_atom", "efermi", "band_gap", "magnetization_per_atom", "e_above_hull"),
    *("is_insulator", "is_hubbard"),
)

#: Columns of `RELEASE` that releases of older formats lack, and the first format that has each; read from
#: such a release, they are null.
SINCE_FORMAT = {"edge_area": 2}

#: A release row that does not know its split yet, with its place in the source, after the second pass.
BONDED = schema("position", *RELEASE.names, *SOURCE_LABELS, *SOURCE_WORDS, "own_labels", *BONDS.names[1:])

#: One record that left.
LEDGER = schema("material_id", "rule", "reason", "detail", "kept_id", "energy_difference", "structures_match")

#: A record that left with its crystal, to be looked at: its primitive cell.
EXAMPLE = schema(
    *("material_id", "rule", "reason", "reduced_formula", "spacegroup_number", "nsites"),
    *("lattice", "atomic_numbers", "frac_coords", "magnetic_moments"),
)

#: Which record is in which split.
SPLIT = schema("material_id", "split")
