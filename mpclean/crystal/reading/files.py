"""Crystals of structure files: CIF, POSCAR, extended XYZ, RES, JSON, and all else that ASE reads."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading.bookkeeping import require_volume
from mpclean.crystal.reading.cif import cif_blocks, read_block
from mpclean.crystal.reading.documents import parse, read_structure
from mpclean.crystal.reading.extxyz import frame_texts, read_frame
from mpclean.crystal.reading.facts import MALFORMED, UNKNOWN_ELEMENT, Reading, element, require_full
from mpclean.crystal.reading.objects import read_object
from mpclean.crystal.reading.packed import decode, open_packed, plain_name
from mpclean.crystal.reading.parsers import heard
from mpclean.errors import RecordError, UserError

#: Endings of the files that are read here by themselves, each also packed.
ENDINGS = (".cif", ".mcif", ".vasp", ".poscar", ".contcar", ".xyz", ".extxyz", ".res", ".json")

#: Largest file, unpacked, that is read as a whole.
MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Entry:
    """One of the crystals of a file, or why it could not be read.

    Attributes
    ----------
    place
        Where it stands in the file, ``block salt`` or ``frame 2``; empty for the only one.
    suffix
        What an id made of the file's name needs to be its own: ``:salt``, ``-2``; empty for the only one.
    reading
        The crystal; None where there is a problem.
    problem
        Why it could not be read.
    """

    place: str
    suffix: str
    reading: Reading | None
    problem: RecordError | None = None

    @property
    def crystal(self) -> Crystal:
        """The crystal.

        Raises
        ------
        RecordError
            The problem, where there is one.
        """
        if self.reading is None:
            raise self.problem or RecordError(MALFORMED)
        return self.reading.crystal


# The crystals of a text: place and suffix of each, and how to read it.
_Parts = list[tuple[str, str, Callable[[], Reading]]]


def is_structure_file(path: Path) -> bool:
    """Whether a file is one of a structure by its name; JSON may also be a snapshot of documents."""
    name = plain_name(path)
    return name.endswith(ENDINGS) or _is_poscar(name)


def read_file(path: Path) -> list[Entry]:
    """Read every crystal of a structure file.

    Parameters
    ----------
    path
        CIF, POSCAR, extended XYZ, RES, JSON of pymatgen or OPTIMADE, packed or not, or anything else that
        ASE reads.

    Returns
    -------
    One entry for each block, frame or image, in the order of the file. Blocks of a CIF without a cell
    and sites hold no crystal; they count where there is nothing else.

    Raises
    ------
    UserError
        If the file is missing, or as a whole no structure file.
    """
    if not path.is_file():
        raise UserError(f"{path}: " + ("a folder, name its files" if path.is_dir() else "no such file"))
    try:
        parts = _parts(path)
    except RecordError as error:
        raise UserError(f"{path}: not a crystal structure that can be read here ({error})") from error
    if not parts:
        raise UserError(f"{path}: holds no crystal structure")
    if len(parts) == 1:
        parts = [("", "", read) for _, _, read in parts]
    return [_entry(*part) for part in parts]


def _entry(place: str, suffix: str, read: Callable[[], Reading]) -> Entry:
    try:
        return Entry(place, suffix, read())
    except RecordError as error:
        return Entry(place, suffix, None, error)


def _parts(path: Path) -> _Parts:
    name = plain_name(path)
    if name.endswith((".cif", ".mcif")):
        # Names of authors in other encodings make a file no less readable.
        blocks = cif_blocks(_text(path, lenient=True))
        chosen = [block for block in blocks if block.holds_crystal] or blocks
        return [
            (f"block {block.name}", f":{block.name}", lambda text=block.text: read_block(text))  # type: ignore[misc]
            for block in chosen
        ]
    if name.endswith((".xyz", ".extxyz")):
        return _numbered(
            lambda text=text: read_structure(read_frame(text).structure)  # type: ignore[misc]
            for text in _frames(path)
        )
    if name.endswith(".json"):
        document = parse(_text(path).encode())
        documents = document if isinstance(document, list) else [document]
        return _numbered(lambda one=one: read_structure(_structure(one)) for one in documents)  # type: ignore[misc]
    if name.endswith(".res"):
        text = _text(path)
        return [("", "", lambda: read_res(text))]
    if _is_poscar(name):
        text = _text(path)
        return [("", "", lambda: read_poscar(text))]
    with heard("ASE"):
        from ase.io import read

        images = read(path, index=":")
    return _numbered(lambda atoms=atoms: read_object(atoms) for atoms in images)  # type: ignore[misc]


def _is_poscar(name: str) -> bool:
    return name.endswith(".vasp") or "poscar" in name or "contcar" in name


def _numbered(readers: Iterable[Callable[[], Reading]]) -> _Parts:
    return [(f"frame {number}", f"-{number}", read) for number, read in enumerate(readers, start=1)]


def _structure(document: Any) -> Any:
    """Return what holds the structure: a document of its own, or one that has it under its name."""
    return document["structure"] if isinstance(document, dict) and "structure" in document else document


def _frames(path: Path) -> Iterator[str]:
    with heard("extended XYZ"):
        yield from frame_texts(io.StringIO(_text(path)))


def _text(path: Path, lenient: bool = False) -> str:
    with heard("file"), open_packed(path) as file:
        data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise RecordError(MALFORMED, f"larger than {MAX_BYTES >> 20} MiB unpacked")
        try:
            return decode(data)
        except UnicodeDecodeError:
            if not lenient:
                raise
            return data.decode("utf-8", errors="replace")


def read_poscar(text: str) -> Reading:
    """Read a POSCAR of VASP 5 or later, which names its elements in the sixth line.

    Raises
    ------
    RecordError
        If it names none, or cannot be read.
    """
    from pymatgen.io.vasp import Poscar

    lines = text.splitlines()
    labels, counts = (lines[n].split() if len(lines) > n else [] for n in (5, 6))
    if not labels or labels[0].lstrip("+-").isdecimal():
        raise RecordError(
            UNKNOWN_ELEMENT, "POSCAR: no line of element symbols above the numbers of atoms; add it as line 6"
        )
    lines[5] = " ".join(element(label) for label in labels)
    if len(labels) != len(counts):
        raise RecordError(MALFORMED, f"POSCAR: {len(labels)} symbols, {len(counts)} numbers of atoms")
    with heard("POSCAR"):
        structure = Poscar.from_str("\n".join(lines)).structure
        selective = lines[7].strip()[:1].lower() == "s"
        after = lines[8 + selective + len(structure) :][:1]
    if after and _is_coordinates(after[0]):
        raise RecordError(MALFORMED, f"POSCAR: more coordinates than the {len(structure)} atoms of line 7")
    return read_object(structure)


def _is_coordinates(line: str) -> bool:
    try:
        return len([float(field) for field in line.split()[:3]]) == 3
    except ValueError:
        return False


def read_res(text: str) -> Reading:
    """Read a RES file as AIRSS writes it: all atoms of the cell, no symmetry.

    Raises
    ------
    RecordError
        If it has symmetry or partial occupancies, or cannot be read.
    """
    from pymatgen.io.res import ResIO

    in_atoms, volume = False, None
    for fields in (line.split() for line in text.splitlines()):
        match fields:
            case ["TITL", _, _, stated, _, _, _, *_]:
                with heard("RES, TITL"):
                    volume = float(stated)
            case ["LATT", kind, *_] if kind != "-1":
                raise RecordError(
                    "space group not understood", f"RES: LATT {kind}; only -1, all atoms listed"
                )
            case ["SFAC", *_]:
                in_atoms = True
            case ["END", *_]:
                in_atoms = False
            case [label, _, _, _, _, share, *_] if in_atoms:
                with heard(f"RES, site {label}"):
                    value = float(share)
                # SHELX adds 10 to what is not to be refined.
                require_full({label: value - 10.0 if value > 10.0 else value}, label)
    with heard("RES"):
        structure = ResIO.structure_from_str(text)
    reading = read_object(structure)
    if volume is not None:
        require_volume(reading.crystal, volume)
    return reading
