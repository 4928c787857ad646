"""Folders of CIF and POSCAR files, one for every crystal, written by pymatgen.

The files hold the crystal alone, its cell without magnetic moments; ``labels.jsonl`` beside them has a
line of JSON for every one of them, its id and labels under the names of their columns. CIF lists atoms by
element. pymatgen reads coordinates of a CIF within 1e-4 of 1/3 or 2/3 as those fractions, which would move
atoms of real crystals by up to 1e-3 A; so such atoms are written in the next cell, where it leaves them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from mpclean.crystal.crystal import Crystal
from mpclean.errors import UserError
from mpclean.release.export.base import Entries

#: Decimals of lengths and coordinates in a CIF file.
DECIMALS = 10

#: The file of all labels, beside those of the crystals.
LABELS = "labels.jsonl"

#: How near to 1/3 and 2/3 pymatgen reads a coordinate as that fraction.
ROUNDED_BY_PYMATGEN = 1e-4

#: Longest id that names a file, in bytes: a name may have 255 with its ending.
MAX_NAME = 200

_FILE_NAME = re.compile(r"[^/\\:\x00-\x1f\x7f\s.][^/\\:\x00-\x1f\x7f]*")


def write_cif(entries: Entries, path: Path) -> None:
    """Write a folder with ``ID.cif`` of every crystal, all atoms listed (P 1), and their labels."""
    _write_folder(entries, path, ".cif", lambda crystal, _: cif(crystal))


def cif(crystal: Crystal) -> str:
    """Write the text of a CIF file of a crystal, all atoms listed (P 1)."""
    from pymatgen.io.cif import CifWriter

    written = replace(crystal, frac_coords=_not_near_thirds(crystal.frac_coords))
    return str(CifWriter(written.to_pymatgen(), significant_figures=DECIMALS))


def _not_near_thirds(frac_coords: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move those that pymatgen would read as 1/3 or 2/3, and that are neither, one cell further."""
    away = np.minimum(*(np.abs(frac_coords - third) for third in (1 / 3, 2 / 3)))
    near = (away > 10.0**-DECIMALS) & (away < ROUNDED_BY_PYMATGEN)
    return frac_coords + near


def write_poscar(entries: Entries, path: Path) -> None:
    """Write a folder with ``ID.vasp`` of every crystal, its atoms in their order, and their labels."""
    from pymatgen.io.vasp import Poscar

    _write_folder(
        entries,
        path,
        ".vasp",
        lambda crystal, material_id: Poscar(crystal.to_pymatgen(), comment=material_id).get_str(),
    )


def _write_folder(entries: Entries, path: Path, ending: str, text: Callable[[Crystal, str], str]) -> None:
    """Write a folder with a file of every crystal, its text from the crystal and its id, and `LABELS`."""
    path.mkdir()
    with (path / LABELS).open("wb") as lines:
        for crystal, labels in entries:
            material_id = labels["material_id"]
            file_of(path, material_id, ending).write_text(text(crystal, material_id), encoding="utf-8")
            lines.write(orjson.dumps(labels) + b"\n")


def file_of(folder: Path, material_id: str, ending: str) -> Path:
    """Find the file of a record in a folder of files.

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
