"""Crystals of structure files: CIF, POSCAR, extended XYZ, RES, JSON, and all else that ASE reads.

ASE guesses what a species of an input file means, and where; what is known to be guessed wrongly is refused.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading.bookkeeping import DISAGREES
from mpclean.crystal.reading.cif import cif_blocks
from mpclean.crystal.reading.documents import parse, read_structure
from mpclean.crystal.reading.extxyz import frame_texts, read_frame
from mpclean.crystal.reading.facts import (
    MALFORMED,
    NO_STRUCTURE,
    UNKNOWN_ELEMENT,
    Reading,
    element,
    require_full,
)
from mpclean.crystal.reading.objects import atoms_document
from mpclean.crystal.reading.packed import decode, open_packed, plain_name
from mpclean.crystal.reading.parsers import heard
from mpclean.errors import RecordError, UserError

if TYPE_CHECKING:
    from ase import Atoms

#: Endings of the files that are known here, each also packed: those read here by themselves, then the input
#: files of Quantum ESPRESSO and FHI-aims and the structures of XCrySDen, by ASE, and those of CASTEP.
ENDINGS = (
    *(".cif", ".mcif", ".vasp", ".poscar", ".contcar", ".xyz", ".extxyz", ".res", ".json"),
    *(".xsf", ".pwi", ".in", ".cell"),
)

#: The reason of a file that nobody reads here, in the words of the ledger, and the way out.
UNKNOWN_KIND = "kind of file not read"
_CONVERT = "convert it to CIF, POSCAR or extended XYZ with a program that knows it"

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


@dataclass(frozen=True)
class Written:
    """One of the crystals of a file as it is written there, for `read_structure`.

    Attributes
    ----------
    place, suffix
        As `Entry` has them.
    structure
        A value of a document: CIF text, or a dict as pymatgen or OPTIMADE has it. None where there is a
        problem.
    problem
        Why it has none.
    """

    place: str
    suffix: str
    structure: Any
    problem: RecordError | None = None


# Species of Quantum ESPRESSO, with mass and pseudopotential: ASE takes OW1 for oxygen.
_ESPRESSO_ATOMS = re.compile(
    r"^\s*(\w[\w+-]*)\s+[\d.]+(?:[dDeE][+-]?\d+)?\s+\S+\.(?:upf|psml|rrkj3|vdb)\b",
    re.IGNORECASE | re.MULTILINE,
)

# A line of symbols and one of numbers, as in the head of a POSCAR.
_ANOTHER_POSCAR = re.compile(
    r"^[ \t]*[A-Z][a-z]?(?:[ \t]+[A-Z][a-z]?)*[ \t]*\n[ \t]*\d+(?:[ \t]+\d+)*[ \t]*$", re.MULTILINE
)

# What ASE says in more letters is no label of an atom.
_LONGEST_LABEL = 10

# The crystals of a file: place and suffix of each, and how to get at what is written.
_Parts = list[tuple[str, str, Callable[[], Any]]]


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
    One entry for each block, frame or image, in the order of the file; one with the problem where the
    file as a whole cannot be read. Blocks of a CIF without a cell and sites hold no crystal; they count
    where there is nothing else.

    Raises
    ------
    UserError
        If there is no such file.
    """
    return [_entry(written) for written in written_in(path)]


def _entry(written: Written) -> Entry:
    if written.problem is not None:
        return Entry(written.place, written.suffix, None, written.problem)
    try:
        return Entry(written.place, written.suffix, read_structure(written.structure))
    except RecordError as error:
        return Entry(written.place, written.suffix, None, error)


def written_in(path: Path) -> list[Written]:
    """Take a structure file apart into its crystals, which are documents for `read_structure` to judge.

    Parameters and errors are those of `read_file`.
    """
    if not path.is_file():
        raise UserError(f"{path}: " + ("a folder, name its files" if path.is_dir() else "no such file"))
    try:
        parts = _parts(path)
    except RecordError as error:
        return [Written("", "", None, error)]
    if not parts:
        return [Written("", "", None, RecordError(NO_STRUCTURE, "no crystal in this file"))]
    if len(parts) == 1:
        parts = [("", "", write) for _, _, write in parts]
    return [_written(*part) for part in parts]


def _written(place: str, suffix: str, write: Callable[[], Any]) -> Written:
    try:
        return Written(place, suffix, write())
    except RecordError as error:
        return Written(place, suffix, None, error)


def _parts(path: Path) -> _Parts:
    name = plain_name(path)
    if name.endswith((".cif", ".mcif")):
        # Names of authors in other encodings make a file no less readable.
        blocks = cif_blocks(_text(path, lenient=True))
        chosen = [block for block in blocks if block.holds_crystal] or blocks
        return [(f"block {one.name}", f":{one.name}", partial(_identity, one.text)) for one in chosen]
    if name.endswith((".xyz", ".extxyz")):
        return _numbered(partial(_structure_of_frame, text) for text in _frames(path))
    if name.endswith(".json"):
        document = parse(_text(path).encode())
        documents = document if isinstance(document, list) else [document]
        return _numbered(partial(_structure_of_document, one) for one in documents)
    if name.endswith(".res"):
        return _numbered(partial(res_document, text) for text in res_texts(_text(path)))
    if _is_poscar(name):
        return [("", "", partial(poscar_document, _text(path)))]
    if name.endswith(".cell"):
        # ASE asks CASTEP itself what its words mean, and takes every atom of a mixture for a whole one.
        raise RecordError(
            UNKNOWN_KIND, f"a .cell of CASTEP; {_CONVERT}, or run CASTEP with WRITE_CIF_STRUCTURE"
        )
    return _numbered(partial(atoms_document, atoms) for atoms in _images(path))


def _images(path: Path) -> list[Atoms]:
    """Read what ASE knows by its name or beginning."""
    data = _bytes(path)
    try:
        text = decode(data)
    except UnicodeDecodeError:
        text = ""  # a kind that is no text
    labels = _ESPRESSO_ATOMS.findall(text)
    for label in labels:
        element(label)
    with TemporaryDirectory() as folder, heard("ASE"):
        from ase.io import read
        from ase.io.formats import UnknownFileTypeError

        plain = Path(folder) / plain_name(path)  # ASE unpacks not all that is packed
        plain.write_bytes(text.encode() or data)
        try:
            # Both Quantum ESPRESSO and FHI-aims call their input what ends in .in.
            return list(read(plain, index=":", format="espresso-in" if labels else None))
        except UnknownFileTypeError as error:
            raise RecordError(UNKNOWN_KIND, f"ASE does not know it; {_CONVERT}") from error
        except KeyError as error:  # so ASE says that a species is none
            label = str(error.args[0]).removeprefix("Could not parse species from label ").rstrip(".")
            if len(label) > _LONGEST_LABEL:
                raise
            raise RecordError(UNKNOWN_ELEMENT, repr(label)) from error


def _is_poscar(name: str) -> bool:
    return name.endswith(".vasp") or "poscar" in name or "contcar" in name


def _numbered(parts: Iterable[Callable[[], Any]]) -> _Parts:
    return [(f"frame {number}", f"-{number}", write) for number, write in enumerate(parts, start=1)]


def _identity(structure: Any) -> Any:
    return structure


def _structure_of_frame(text: str) -> Any:
    return read_frame(text).structure


def _structure_of_document(document: Any) -> Any:
    """Return what holds the structure: a document of its own, or one that has it under its name."""
    return document["structure"] if isinstance(document, dict) and "structure" in document else document


def _frames(path: Path) -> list[str]:
    with heard("extended XYZ"):
        return list(frame_texts(io.StringIO(_text(path))))


def _text(path: Path, lenient: bool = False) -> str:
    data = _bytes(path)
    with heard("file"):
        try:
            return decode(data)
        except UnicodeDecodeError:
            if not lenient:
                raise
            return data.decode("utf-8", errors="replace")


def _bytes(path: Path) -> bytes:
    with heard("file"), open_packed(path) as file:
        data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise RecordError(MALFORMED, f"larger than {MAX_BYTES >> 20} MiB unpacked")
        return data


def poscar_document(text: str) -> dict[str, Any]:
    """Write a POSCAR of VASP 5 or later, which names its elements in the sixth line, as pymatgen does.

    Raises
    ------
    RecordError
        If it names none, is not of the form, holds several crystals, or an atom has another symbol behind
        its coordinates.
    """
    from pymatgen.io.vasp import Poscar

    lines = text.splitlines()
    labels, counts = (lines[n].split() if len(lines) > n else [] for n in (5, 6))
    if not labels or labels[0].lstrip("+-").isdecimal():
        raise RecordError(
            UNKNOWN_ELEMENT, "no line of element symbols above the numbers of atoms; add it as line 6"
        )
    if len(labels) != len(counts) or not all(count.isdecimal() for count in counts):
        raise RecordError(
            MALFORMED,
            f"line 7 is {lines[6] if counts else ''!r}: a number of atoms for each of {len(labels)} symbols",
        )
    if not _is_scale(lines[1]):
        raise RecordError(MALFORMED, f"line 2 is {lines[1]!r}: one number, and not 0, scales the cell")
    for number, line in enumerate(lines[2:5], start=3):
        if not _is_coordinates(line):
            raise RecordError(MALFORMED, f"line {number} is {line!r}: a vector of the cell is expected")
    atoms = [label for label, count in zip(labels, counts, strict=True) for _ in range(int(count))]
    selective = lines[7].strip()[:1].lower() == "s" if len(lines) > 7 else False
    first = 8 + selective
    if len(lines) < first or not lines[first - 1].strip():
        raise RecordError(MALFORMED, f"line {first} is empty: Direct or Cartesian is expected")
    for number, line in enumerate(lines[first : first + len(atoms)], start=first + 1):
        if not _is_coordinates(line):
            raise RecordError(
                MALFORMED, f"line {number} is {line!r}: coordinates of {len(atoms)} atoms follow line {first}"
            )
    if len(lines) < first + len(atoms):
        raise RecordError(MALFORMED, f"coordinates of {len(lines) - first} atoms, and {len(atoms)} in line 7")
    rest = lines[first + len(atoms) :]
    if rest and _is_coordinates(rest[0]):
        raise RecordError(MALFORMED, f"more coordinates than those of the atoms of line 7, {len(atoms)}")
    if _ANOTHER_POSCAR.search("\n".join(rest)):
        raise RecordError("several structures", "another POSCAR follows; write each to a file of its own")
    for number, label in enumerate(atoms):
        behind = lines[first + number].split()[3 + 3 * selective :][:1]
        if behind and _other_element(behind[0], label):
            raise RecordError(
                DISAGREES, f"it says {label} in line 6 and {behind[0]} in line {first + number + 1}"
            )
    # pymatgen knows plain symbols only; labels are for the reader of the document to judge.
    lines[5] = " ".join("H" for _ in labels)
    with heard("pymatgen"):
        document = Poscar.from_str("\n".join(lines)).structure.as_dict()
        for site, label in zip(document["sites"], atoms, strict=True):
            site["species"][0]["element"] = label
    return document


def _is_scale(line: str) -> bool:
    try:
        return float(line) != 0.0 and math.isfinite(float(line))
    except ValueError:
        return False


def _other_element(text: str, label: str) -> bool:
    """Whether a text names an element, and another one than a label does."""
    try:
        return element(text) != element(label)
    except RecordError:
        return False


def _is_coordinates(line: str) -> bool:
    try:
        return len([float(field) for field in line.split()[:3]]) == 3
    except ValueError:
        return False


def res_texts(text: str) -> list[str]:
    """Take a RES file apart: AIRSS writes many structures into one, each begins with ``TITL``."""
    starts = [match.start() for match in re.finditer(r"^TITL\b", text, re.MULTILINE)]
    return [text[start:end] for start, end in pairwise([0, *starts[1:], len(text)])]


def res_document(text: str) -> dict[str, Any]:
    """Write a structure of AIRSS, which lists all atoms of the cell and no symmetry, as pymatgen does.

    Raises
    ------
    RecordError
        If it has symmetry or partial occupancies, disagrees with its own title or list of elements, or cannot
        be read.
    """
    from pymatgen.io.res import ResIO

    lines, labels, in_atoms, volume, n_atoms = text.splitlines(), [], False, None, None
    elements: list[str] = []
    listed = False
    for number, fields in enumerate(line.split() for line in lines):
        match fields:
            case ["TITL", _, _, stated, _, _, _, *rest]:
                with heard("title"):
                    volume, n_atoms = float(stated), int(rest[0]) if rest else None
            case ["LATT", kind, *_]:
                listed = kind == "-1"
            case ["SYMM", *_]:
                listed = False
            case ["SFAC", *elements]:
                in_atoms = True
            case ["END", *_]:
                in_atoms = False
            case [label, place, x, y, z, share, *rest] if in_atoms:
                with heard(f"site {label}"):
                    value, kind_of_atom = float(share), elements[int(place) - 1]
                # SHELX adds 10 to what is not to be refined.
                require_full({label: value - 10.0 if value > 10.0 else value}, label)
                if _other_element(kind_of_atom, label):
                    raise RecordError(DISAGREES, f"site {label} is number {place} of SFAC, {kind_of_atom}")
                labels.append(label)
                # pymatgen knows plain symbols only; the label is for the reader of the document to judge.
                lines[number] = " ".join(["H", place, x, y, z, share, *rest])
    if not labels:
        raise RecordError(NO_STRUCTURE, "no sites after SFAC")
    if not listed:
        raise RecordError(
            "space group not understood",
            "only LATT -1 without SYMM is read, where all atoms of the cell are listed",
        )
    if n_atoms is not None and n_atoms != len(labels):
        raise RecordError(DISAGREES, f"it says {n_atoms} atoms in TITL, its sites are {len(labels)}")
    with heard("pymatgen"):
        document = ResIO.structure_from_str("\n".join(lines)).as_dict()
        for site, label in zip(document["sites"], labels, strict=True):
            site["species"][0]["element"] = label
    if volume is not None:
        document["lattice"]["volume"] = volume  # what the file says, for the reader to hold the cell against
    return document
