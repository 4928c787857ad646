"""The manifest of a release: what it is made of, and the hash of every byte of it.

A manifest is canonical JSON and carries the hash of itself, so that a change of any byte of
the folder, the manifest included, can be found. It holds no build time, host name or path:
equal input and parameters give equal bytes.

Whoever wrote it, nothing of a manifest is used before `parse_manifest` has checked it: every field
has its type, every name of a file stays inside the release, and every name of a split is one that
a command could have given. What passes may be joined to the path of the release and opened.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from mpclean.errors import UserError
from mpclean.release.layout import FORMAT_VERSION, LEDGER, MANIFEST, split_table
from mpclean.vocabulary.labels import Label, own_label
from mpclean.vocabulary.schema import PARTS

#: What a split may be called: it is part of the names of files and of configurations.
SPLIT_NAME = "[A-Za-z0-9][A-Za-z0-9._-]*"

_MENDED = "build or fetch the release again"


def _inside(name: str) -> str:
    """Check that the name of a file stays in the folder of its release, on any system."""
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or not name.isprintable() or set(name) & set("\\:*?["):
        raise ValueError("the name of a file in the release is needed")
    return name


def _split_name(name: str) -> str:
    """Check the name of a split, which is part of names of files."""
    if not re.fullmatch(SPLIT_NAME, name) or name.endswith(".parquet"):
        raise ValueError("letters, digits and . _ - are the characters of a split's name")
    return name


def _part(name: str) -> str:
    if name not in PARTS:
        raise ValueError(f"one of {', '.join(PARTS)} is needed")
    return name


FileName = Annotated[str, AfterValidator(_inside)]
SplitName = Annotated[str, AfterValidator(_split_name)]
Part = Annotated[str, AfterValidator(_part)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class _Entry(BaseModel):
    """A part of the manifest: no field is missing, unknown or of another type, and none changes later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _renamed(name: str, before: str) -> Any:
    """Read a field of releases that were built before it had its name."""
    return Field(validation_alias=AliasChoices(name, before))


class File(_Entry):
    """A file of the release."""

    bytes: Count
    """Its size."""
    sha256: Sha256
    """Hash of its bytes, hexadecimal."""


class Stage(_Entry):
    """What a step of the build did to the number of records."""

    name: str
    """Name of the rule, or ``records``, ``split``, ``insulators``."""
    title: str
    """As tables show it."""
    kept: Annotated[Count, _renamed("kept", "left")]
    """Records that remain after it."""
    excluded: Annotated[Count | None, _renamed("excluded", "dropped")]
    """Records that it excluded; None where it is no rule."""


class Published(_Entry):
    """Numbers that were published of the version, by the names of the manifest."""

    source: str = ""
    """Where."""
    stages: dict[str, Count] = {}
    splits: dict[Part, Count] = {}
    statistics: dict[str, list[float]] = {}
    """Mean and standard deviation of a target."""


class Upstream(_Entry):
    """Where the records come from."""

    title: str
    claimed_version: str | None
    """The known version that the build was asked for."""
    database_version: str | None
    """The version that the source as a whole states."""
    stated_versions: list[str]
    """The versions that its records state."""
    source: str
    """Name of the kind of source."""
    sha256: str
    """Hash of what was read."""
    licence: str
    citation: str
    synthetic: bool
    """True where the labels were made up and describe no real material."""
    published: Published


class Parameters(BaseModel):
    """What the build was asked for; a source adds what its documents depend on."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    __pydantic_extra__: dict[str, JsonValue]

    rules: list[str]
    dedup: str | None
    bonds: str
    """Kind of bonds, ``voronoi`` or ``radius``."""
    cell_tolerance: float
    """Of the primitive cell, A."""
    spacegroup_tolerance: float
    """symprec of the space group, A."""
    min_area: float | None
    """Smallest Voronoi face of a bond, A^2."""
    cutoff: float | None
    """Radius beyond which no atom is a neighbour, A."""
    limit: Annotated[int, Field(ge=1)] | None
    """Records that were read; None for all."""
    rule_parameters: dict[str, dict[str, JsonValue]] = {}
    """What the rules were told, by their names."""
    max_atoms: int | None = None
    """As releases of format 1 state it; later ones have it among `rule_parameters`."""
    max_matched_atoms: int | None = None
    max_comparisons: int | None = None
    bond_tolerance: float | None = None
    """Beyond the sum of covalent radii, A."""
    max_bond_length: float | None = None
    """A."""
    listed: Count | None = None
    """Number of published ids that a served database was asked for."""

    def as_dict(self) -> dict[str, Any]:
        """Return every parameter by its name, those of the source included."""
        return self.model_dump(mode="json", exclude_unset=True)


class MergeExample(_Entry):
    """A duplicate and the record that was kept for it."""

    material_id: str
    kept_id: str
    detail: str
    """Formula and space group that they share."""
    energy_difference: float | None
    """eV/atom."""


class Verdict(_Entry):
    """Records of one verdict of StructureMatcher on duplicates by formula and space group."""

    records: Count
    median: float | None
    """Of the energy differences, eV/atom; None where none is known."""
    percentile_90: float | None
    """eV/atom."""
    examples: list[MergeExample]


class Duplicates(_Entry):
    """What the rules against duplicates exclude."""

    excluded: Annotated[dict[str, Count], _renamed("excluded", "dropped")]
    """By the name of the rule: ``key`` or ``structure``."""
    verdicts: dict[str, Verdict]
    """By ``equal``, ``distinct`` and ``undecided``."""


class SpaceGroups(_Entry):
    """The source's space groups beside ours."""

    stated: Count
    """Records whose source states one."""
    differ: list[str]
    """Ids of those where ours is another."""


class Statistic(_Entry):
    """Of the labels of a target, in its unit."""

    count: Count
    mean: float
    std: float
    """Population standard deviation."""


class BuiltSplit(_Entry):
    """The split that the shards are cut by."""

    strategy: SplitName
    description: str


class Missing(_Entry):
    """Ids of a published list that were not kept, by the cause."""

    rule: str | None
    """None where the source has no such record."""
    reason: str
    ids: Count


class OneAtom(_Entry):
    """Of a replay, records with one atom in the primitive cell."""

    agree: Count
    extra: Count


class Replay(_Entry):
    """A build beside the ids that the authors of its version published."""

    listed: Count
    agree: Count
    """On the list and kept."""
    missing: list[Missing]
    """On the list and not kept."""
    extra: Count
    """Kept by the rules and not on the list."""
    one_atom: OneAtom


class Rows(_Entry):
    """Rows and their size in memory."""

    num_examples: Count
    num_bytes: Count


class PartRows(Rows):
    """The rows of a part of an added split."""

    files: list[FileName]
    """The files that together hold them."""


class AddedSplit(_Entry):
    """A split that ``mpclean split`` added."""

    made_as: SplitName
    """The name that splits made together share."""
    strategy: str
    parameters: dict[str, JsonValue]
    """Options of the strategy."""
    keeps_apart: list[str]
    """Levels at which no group is in two parts."""
    content_hash: Sha256
    splits: dict[Part, Count]
    """Records of every part."""
    rows: dict[Part, PartRows]


class Manifest(_Entry):
    """All that a release says of itself.

    Examples
    --------
    >>> import mpclean
    >>> manifest = mpclean.open_release("releases/demo").manifest  # doctest: +SKIP
    >>> manifest.splits["test"], manifest.statistics["band_gap"].mean  # doctest: +SKIP
    (248, 2.540037686058175)
    """

    format_version: Annotated[int, Field(ge=1)]
    name: str
    release_version: Annotated[str, Field(pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")]
    content_hash: Sha256
    """Over the rows of data, the split of the build and the ledger."""
    upstream: Upstream
    parameters: Parameters
    libraries: dict[str, str]
    """Versions of the libraries that made it."""
    stages: Annotated[list[Stage], Field(min_length=1)]
    kept_by_source_formula: Annotated[
        Count | None, _renamed("kept_by_source_formula", "left_by_source_formula")
    ]
    """Records that the rule ``duplicate`` would keep with the formula of the source's own cell."""
    duplicates: Duplicates | None
    spacegroups: SpaceGroups
    statistics: dict[str, Statistic]
    split: BuiltSplit
    splits: dict[Part, Count]
    """Records of every part."""
    replay: Replay | None
    shards: dict[Part, Count]
    """Files of every part."""
    counts: dict[str, dict[Part, Rows]]
    """Rows of every configuration and part."""
    columns: list[str]
    labels: list[Label] = []
    """Labels of a person's own, which the vocabulary does not know."""
    label_notes: list[str] = []
    """What is to be known of them and of fields that are no labels."""
    files: dict[FileName, File]
    """Every file of the release but the manifest."""
    more_splits: dict[SplitName, AddedSplit] = {}
    manifest_sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        for field, named in (("splits", self.splits.keys()), ("shards", self.shards.keys())):
            if set(named) != set(PARTS):
                raise ValueError(f"{field} has other parts than {', '.join(PARTS)}")
        if "default" not in self.counts:
            raise ValueError("counts lacks the configuration default")
        for label in self.labels:
            try:
                own_label(label.name, label.unit, label.meaning)
            except UserError as error:
                raise ValueError(str(error).removeprefix("--")) from None
        if MANIFEST in self.files:
            raise ValueError(f"{MANIFEST} is among its own files")
        for name, split in self.more_splits.items():
            if name == self.split.strategy:
                raise ValueError(f"the split {name} is there twice")
            # Files of a split leave with it: nothing else of the release may be named here.
            folder = f"splits/{split.made_as}/"
            for part in split.rows.values():
                for file in part.files:
                    if not file.startswith(folder) or not file.endswith(".parquet"):
                        raise ValueError(f"{file} is no file of the split {name}")
        return self

    def require_files(self) -> Self:
        """Refuse a manifest of a whole release that names a table and does not list its file.

        Raises
        ------
        ValueError
            If it does.
        """
        tables = [LEDGER, *(split_table(name) for name in (self.split.strategy, *self.more_splits))]
        rows = [part for split in self.more_splits.values() for part in split.rows.values()]
        for name in (*tables, *(file for part in rows for file in part.files)):
            if name not in self.files:
                raise ValueError(f"{name} is not among its files")
        return self

    def changed(self, **values: Any) -> Self:
        """Return the manifest with other values of some fields."""
        return self.model_copy(update=values)


def make_manifest(values: Mapping[str, Any]) -> Manifest:
    """Make the manifest of plain values: the one way from the counts of a build to what is written."""
    return Manifest.model_validate_json(json.dumps(values, allow_nan=False))


def dump_manifest(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest, its own hash included."""
    return seal_values(manifest.model_dump(mode="json", exclude_unset=True))


def seal_values(values: Mapping[str, Any]) -> bytes:
    """Return the bytes of a manifest of plain values, its own hash included."""
    body = {key: value for key, value in values.items() if key != "manifest_sha256"}
    digest = hashlib.sha256(_canonical(body)).hexdigest()
    return _canonical({**body, "manifest_sha256": digest})


def _canonical(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def load_manifest(folder: Path) -> Manifest:
    """Read the manifest of a release.

    Raises
    ------
    UserError
        If the folder is no release, its manifest was changed, or its format is newer than
        this program.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise UserError(f"{folder}: no such release; build one with: mpclean build --version demo")
    if not path.is_file():
        raise UserError(f"{folder}: not a release, it has no {MANIFEST}")
    return parse_manifest(path.read_bytes(), str(path))


def parse_manifest(content: bytes, origin: str) -> Manifest:
    """Return the manifest that the bytes of a file spell.

    Parameters
    ----------
    content
        The bytes.
    origin
        What to call the file in errors.

    Raises
    ------
    UserError
        If it was changed, a field is missing, unknown or of another type, it names a file outside
        its release, or its format is newer than this program.
    """
    try:
        values = json.loads(content)
        if not isinstance(values, dict) or seal_values(values) != content:
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"{origin}: the manifest was changed or damaged; {_MENDED}") from None
    version = values.get("format_version")
    if type(version) is not int or version < 1:
        raise UserError(
            f"{origin}: format_version is {json.dumps(version):.50}, not a positive integer; {_MENDED}"
        )
    if version > FORMAT_VERSION:
        raise UserError(
            f"{origin}: format {version} is newer than this program reads ({FORMAT_VERSION}); install a "
            "newer mpclean"
        )
    try:
        return Manifest.model_validate_json(content).require_files()
    except ValidationError as error:
        raise UserError(f"{origin}: {explain_validation(error)}; {_MENDED}") from None
    except ValueError as error:
        raise UserError(f"{origin}: {error}; {_MENDED}") from None


def explain_validation(error: ValidationError) -> str:
    """Say in one line which field is wrong first, and what it should be."""
    first, *others = error.errors(include_url=False, include_input=False)
    said = first["msg"].removeprefix("Value error, ")
    place = ".".join(f"{step}" for step in first["loc"])
    more = f" (and {len(others)} more)" if others else ""
    return f"{place[:150]}: {said[:1].lower()}{said[1:]}{more}" if place else f"{said}{more}"
