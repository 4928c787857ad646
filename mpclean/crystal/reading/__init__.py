"""The one door through which a file, an object or a document becomes a crystal.

`read_file` takes structure files, `written_in` only takes them apart; `read_object` takes objects of
pymatgen and ASE, and `read_structure` what stands in documents. Each asks the same of a crystal (`facts`,
`bounds`, `bookkeeping`), and refuses with a `mpclean.errors.RecordError` that says why.
"""

from mpclean.crystal.reading.cif import CifBlock, cif_blocks, read_block
from mpclean.crystal.reading.documents import parse, read_structure
from mpclean.crystal.reading.facts import Reading
from mpclean.crystal.reading.files import Entry, Written, is_structure_file, read_file, written_in
from mpclean.crystal.reading.objects import read_object

__all__ = [
    "CifBlock",
    "Entry",
    "Reading",
    "Written",
    "cif_blocks",
    "is_structure_file",
    "parse",
    "read_block",
    "read_file",
    "read_object",
    "read_structure",
    "written_in",
]
