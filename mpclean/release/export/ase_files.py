"""Extended XYZ files and databases of ASE, written by ASE.

Labels are the ``info`` of a frame or the key-value pairs of a row, where ASE lets them be: it takes
text that looks like a number, as ids of Perov-5 do, for the number. Magnetic moments are those of a
calculation.
"""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from mpclean.errors import UserError
from mpclean.release.export.base import Entries


def write_extxyz(entries: Entries, path: Path) -> None:
    """One file, a frame for every crystal; ASE writes 8 decimals of an Angstrom.

    Raises
    ------
    UserError
        If ASE would read an id as another one.
    """
    from ase.io.extxyz import key_val_dict_to_str, key_val_str_to_dict, write_xyz

    with path.open("w", encoding="utf-8") as file:
        for crystal, labels in entries:
            material_id = labels["material_id"]
            read = key_val_str_to_dict(key_val_dict_to_str({"material_id": material_id}))
            if "\n" in material_id or str(read.get("material_id")) != material_id:
                raise UserError(f"{material_id!r}: an id that extended XYZ cannot hold; use --format jsonl")
            atoms = crystal.to_ase()
            atoms.info = labels
            write_xyz(file, atoms)


def write_database(entries: Entries, path: Path) -> None:
    """One SQLite file, a row for every crystal; ``data`` of a row has the labels as they are.

    Raises
    ------
    OSError
        If SQLite cannot write it.
    """
    from ase.db import connect
    from ase.db.core import convert_str_to_int_float_bool_or_str, reserved_keys

    try:
        with connect(path, type="db") as database:
            for crystal, labels in entries:
                pairs = {
                    name: convert_str_to_int_float_bool_or_str(value) if isinstance(value, str) else value
                    for name, value in labels.items()
                    if name not in reserved_keys  # ASE finds the formula itself
                }
                database.write(crystal.to_ase(), key_value_pairs=pairs, data=labels)
    except sqlite3.OperationalError as error:  # which keeps the number that the system gave to itself
        number = errno.ENOSPC if error.sqlite_errorcode == sqlite3.SQLITE_FULL else errno.EIO
        raise OSError(number, str(error), str(path)) from error
