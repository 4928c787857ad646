"""Exchange-correlation functionals, by one name each however a source spells them."""

from __future__ import annotations

#: The functional that is taken where none is asked for: the one of the paper.
DEFAULT_FUNCTIONAL = "PBE"

#: Functionals that can be asked for, by their spelling in capitals and without Hubbard U. The
#: Materials Project calls PBE GGA.
_NAMES = {"PBE": "PBE", "GGA": "PBE", "PBESOL": "PBEsol", "SCAN": "SCAN", "R2SCAN": "r2SCAN"}

#: Their names.
FUNCTIONALS = tuple(dict.fromkeys(_NAMES.values()))


#: Convex hulls of the Materials Project that energies can be relative to, and their thermo types;
#: the first is that of 2021.05, the other mixes functionals.
HULLS = {"pbe": "GGA_GGA+U", "mixed": "GGA_GGA+U_R2SCAN"}


def functional_name(stated: str) -> str:
    """Find the name of a functional: ``PBE`` for ``GGA``, ``GGA+U``, ``GGA_U`` and ``pbe``.

    Parameters
    ----------
    stated
        A run type of the Materials Project or a functional of LeMat-Bulk. One that is none of
        `FUNCTIONALS` keeps its spelling.
    """
    plain = stated.upper().removesuffix("+U").removesuffix("_U")
    return _NAMES.get(plain, stated)


def other_functional(stated: object, wanted: str) -> str | None:
    """Why a record is left out, in words for the ledger; None where it is not.

    Parameters
    ----------
    stated
        What the record says of its functional. One that says nothing is taken as it is.
    wanted
        One of `FUNCTIONALS`.
    """
    if stated is None or functional_name(str(stated)) == wanted:
        return None
    return f"computed with {functional_name(str(stated))}, not {wanted}"
