"""Frames of extended XYZ files, by ASE, with ids and species as they are written.

ASE makes a number of everything that looks like one, so that the ids `0012` and `12` become one, and knows no
deuterium and no labels. So ids are taken from the header as text, and species from their column.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

import numpy as np

from mpclean.crystal.reading.bookkeeping import DISAGREES
from mpclean.crystal.reading.facts import MALFORMED
from mpclean.crystal.reading.objects import atoms_document
from mpclean.crystal.reading.parsers import heard
from mpclean.errors import RecordError
from mpclean.vocabulary.elements import ATOMIC_NUMBERS
from mpclean.vocabulary.ids import ID_KEYS

_TEXT = re.compile(
    rf"""(?:^|\s)["']?({"|".join(ID_KEYS)})["']?\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+))"""
)
_SPECIES = re.compile(r"(?:^|[\s\"'=])Properties\s*=\s*[\"']?(\S*?)[\"']?(?:\s|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Frame:
    """A frame of a file, or a row of a database.

    Attributes
    ----------
    structure
        As a document has it, for `read_structure`.
    stated
        What the frame states beside its atoms.
    total_magnetization
        Moment of the cell by the frame's calculation, muB; None where it has none.
    """

    structure: dict[str, Any]
    stated: dict[str, Any]
    total_magnetization: float | None = None


def frame_texts(lines: IO[str]) -> Iterator[str]:
    """Take a file apart into frames, each of which begins with its number of atoms.

    Raises
    ------
    ValueError
        If a frame begins with something else.
    """
    for line in lines:
        if line.strip():
            try:
                n_atoms = int(line)
            except ValueError:
                raise ValueError(
                    f"{line.strip():.60} where the number of atoms of a frame was expected"
                ) from None
            yield line + "".join(islice(lines, n_atoms + 1))


def read_frame(text: str) -> Frame:
    """Read a frame.

    Parameters
    ----------
    text
        Number of atoms, header, and a line for each atom.

    Raises
    ------
    RecordError
        If ASE cannot read it, or warns of it.
    """
    from ase.io.extxyz import key_val_str_to_dict, read_xyz

    lines = text.splitlines()
    header = lines[1] if len(lines) > 1 else ""
    labels = _plain_species(lines, header)

    def parsed(line: str) -> dict[str, Any]:
        stated = key_val_str_to_dict(line)
        for key, double, single, bare in _TEXT.findall(line):
            stated[key] = re.sub(r"\\(.)", r"\1", double) or single or bare
        for key in [key for key in stated if key.lower() == "pbc"]:
            stated["pbc"] = _directions(stated.pop(key))
        return stated

    with heard("ASE"):
        frames = list(
            read_xyz(io.StringIO("\n".join(lines) + "\n"), index=slice(None), properties_parser=parsed)
        )
        if len(frames) != 1:
            raise RecordError(MALFORMED, f"ASE: {len(frames)} frames where one was expected")
        (atoms,) = frames
        structure = atoms_document(atoms)
    for site, label in labels.items():
        shares = structure["sites"][site]["species"]
        if len(shares) == 1 and label in ATOMIC_NUMBERS and shares[0]["element"] != label:
            raise RecordError(DISAGREES, f"site {site} says {label} and {shares[0]['element']}")
        if len(shares) == 1:
            shares[0]["element"] = label
    results = atoms.calc.results if atoms.calc else {}
    return Frame(structure, dict(atoms.info), results.get("magmom"))


def _directions(pbc: Any) -> list[bool]:
    """Read periodic directions, also where they are words; one word is for all."""
    words = [str(word).strip().casefold() for word in np.atleast_1d(pbc).tolist()]
    known = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}
    if len(words) not in (1, 3) or not known.keys() >= set(words):
        raise RecordError(MALFORMED, f'pbc = {" ".join(words)!r}; write pbc="T T T"')
    return [known[word] for word in words] * (3 // len(words))


def _plain_species(lines: list[str], header: str) -> dict[int, str]:
    """Put hydrogen, in place, where a species is no plain symbol; return what stood there by the site.

    Where atomic numbers stand beside the species, all of these are returned, to be held against them.
    """
    match = _SPECIES.search(header)
    names = (match[1] if match else "species:S:1:pos:R:3").split(":")
    column, numbered = 0, "Z" in names[::3]
    for name, kind, width in zip(names[::3], names[1::3], names[2::3], strict=False):
        if name == "species" and kind == "S":
            break
        column += int(width) if width.isdecimal() else 0
    else:
        return {}
    labels = {}
    for number, line in enumerate(lines[2:]):
        fields = line.split()
        if column < len(fields) and (numbered or fields[column] not in ATOMIC_NUMBERS):
            labels[number] = fields[column]
        if column < len(fields) and fields[column] not in ATOMIC_NUMBERS:
            fields[column] = "H"
            lines[2 + number] = " ".join(fields)
    return labels
