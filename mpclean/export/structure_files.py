"""Folders of CIF and POSCAR files, one for every crystal, written by pymatgen.

The files hold the crystal alone: its cell, and no label and no magnetic moment. CIF lists atoms by
element. pymatgen reads coordinates of a CIF within 1e-4 of 1/3 or 2/3 as those fractions unless it is told
otherwise (``CifParser(path, frac_tolerance=0)``), which moves atoms of real crystals by up to 1e-3 A.
"""

from __future__ import annotations

import re
from pathlib import Path

from mpclean.crystal import Crystal
from mpclean.errors import UserError
from mpclean.export.base import Entries

#: Decimals of lengths and coordinates in a CIF file.
DECIMALS = 10

#: Longest id that names a file, in bytes: a name may have 255 with its ending.
MAX_NAME = 200

_FILE_NAME = re.compile(r"[^/\\:\x00-\x1f\x7f\s.][^/\\:\x00-\x1f\x7f]*")


def write_cif(entries: Entries, path: Path) -> None:
    """A folder with ``ID.cif`` of every crystal, all atoms listed (P 1)."""
    path.mkdir()
    for crystal, labels in entries:
        file_of(path, labels["material_id"], ".cif").write_text(cif(crystal), encoding="utf-8")


def cif(crystal: Crystal) -> str:
    """The text of a CIF file of a crystal, all atoms listed (P 1)."""
    from pymatgen.io.cif import CifWriter

    return str(CifWriter(crystal.to_pymatgen(), significant_figures=DECIMALS))


def write_poscar(entries: Entries, path: Path) -> None:
    """A folder with ``ID.vasp`` of every crystal, its atoms in their order."""
    from pymatgen.io.vasp import Poscar

    path.mkdir()
    for crystal, labels in entries:
        material_id = labels["material_id"]
        poscar = Poscar(crystal.to_pymatgen(), comment=material_id)
        file_of(path, material_id, ".vasp").write_text(poscar.get_str(), encoding="utf-8")


def file_of(folder: Path, material_id: str, ending: str) -> Path:
    """The file of a record in a folder of files.

    Raises
    ------
    UserError
        If the id cannot be the name of a file.
    """
    if not _FILE_NAME.fullmatch(material_id) or len(material_id.encode()) > MAX_NAME:
        raise UserError(
            f"{material_id!r:.80}: an id that cannot name a file; export to one file, as --format jsonl does"
        )
    return folder / f"{material_id}{ending}"
