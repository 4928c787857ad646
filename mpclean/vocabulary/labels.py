"""Labels: the numbers of a crystal that a model can be trained on, known to the schema or a person's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

from mpclean.errors import UserError
from mpclean.vocabulary.schema import COLUMNS, LEDGER, PREPARED, SOURCE_LABELS, TARGETS, Column
from mpclean.vocabulary.units import nearest, unknown_symbol

#: What a name of a column looks like: it stands in command lines, file names and YAML.
_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")

#: Longest unit and meaning, in characters; both stand in tables.
_LONGEST = 200

#: Names that cannot be labels of one's own: they mean something else already.
RESERVED = frozenset({*COLUMNS, *PREPARED.names, *LEDGER.names, "default", "insulators", "structure", "cif"})


@dataclass(frozen=True)
class Label:
    """A number that a release holds of its crystals, null where it is not known.

    Attributes
    ----------
    name
        Name of its column.
    unit
        Unit of the values; empty for a number without one.
    meaning
        One line for a reader who sees only the table.
    """

    name: str
    unit: str
    meaning: str

    @property
    def column(self) -> Column:
        """The label as a column of the vocabulary."""
        known = COLUMNS.get(self.name)
        return known or Column(self.name, pa.float64(), self.unit, self.meaning)

    @property
    def field(self) -> pa.Field:
        """The column in a file, with its unit and meaning."""
        return pa.field(self.name, pa.float64(), metadata={"unit": self.unit, "meaning": self.meaning})

    def to_dict(self) -> dict[str, str]:
        """Give the fields as the manifest holds them."""
        return asdict(self)


def parse_label(text: str, meaning: str = "") -> Label:
    """Read a label as the command line spells it.

    Parameters
    ----------
    text
        ``NAME:UNIT``, or ``NAME`` alone for a number without a unit.
    meaning
        One line for readers; says that the label is the person's own by default.

    Raises
    ------
    UserError
        If the name is no name of a column, or is taken by the schema.

    Examples
    --------
    >>> parse_label("bulk_modulus:GPa").unit
    'GPa'
    """
    name, _, unit = (part.strip() for part in text.partition(":"))
    return own_label(name, unit, meaning)


def own_label(name: str, unit: str = "", meaning: str = "") -> Label:
    """Make a label of a person's own.

    Parameters
    ----------
    name, unit, meaning
        As for `Label`.

    Raises
    ------
    UserError
        If the name is no name of a column, is taken by the schema, the texts do not fit a line, or the unit
        is not understood.
    """
    if name in (*TARGETS, *SOURCE_LABELS):
        known = COLUMNS[name]
        raise UserError(
            f"--label {name}: kept without being asked for, as {known.meaning} in {known.unit or 'no unit'}; "
            "leave the option out, or rename the field if it means something else"
        )
    if not _NAME.fullmatch(name) or name in RESERVED:
        why = "taken by the schema" if name in RESERVED else "not letters, digits and _, a letter first"
        raise UserError(f"--label {name!r}: the name is {why}; write NAME:UNIT, as in bulk_modulus:GPa")
    for what, words in (("unit", unit), ("meaning", meaning)):
        if len(words) > _LONGEST or not words.isprintable():
            raise UserError(f"--label {name}: the {what} must be one line of at most {_LONGEST} characters")
    if (symbol := unknown_symbol(unit)) is not None:
        meant = f", {near} is" if (near := nearest(symbol)) else ""
        raise UserError(
            f"--label {name}: {symbol!r} is no unit that is known{meant}; write it as in GPa, eV/atom or "
            "W/(m K), or leave the unit out and say in the meaning, in a labels.toml, what the number is"
        )
    return Label(name, unit, meaning or "label that the source states under this name")


def unique_labels(labels: Iterable[Label]) -> tuple[Label, ...]:
    """Labels in their order, after a look at their names.

    Raises
    ------
    UserError
        If a name stands there twice.
    """
    found: dict[str, Label] = {}
    for label in labels:
        if found.setdefault(label.name, label) != label:
            raise UserError(f"--label {label.name}: given twice, in different words; give it once")
    return tuple(found.values())


def own_names(labels: Iterable[Label]) -> tuple[str, ...]:
    """List the names of a release's own labels, from its manifest."""
    return tuple(label.name for label in labels)


def column_of(name: str, labels: Iterable[Label]) -> Column:
    """Find a column of a release by its name, one of its own labels among them.

    Raises
    ------
    KeyError
        If the release has no such column.
    """
    own = {label.name: label.column for label in labels}
    return own[name] if name in own else COLUMNS[name]


def labels_of(columns: Sequence[str], own: Iterable[Label] = ()) -> tuple[Label, ...]:
    """List the labels of a release: those of the schema that it has, then its own.

    Parameters
    ----------
    columns
        Names of the release's columns.
    own
        The entry ``labels`` of its manifest.
    """
    known = [COLUMNS[name] for name in (*TARGETS, *SOURCE_LABELS) if name in columns]
    return (
        *(Label(column.name, column.unit, column.meaning) for column in known),
        *own,
    )
