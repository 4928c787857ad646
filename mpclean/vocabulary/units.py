"""Whether a text is a unit: products and powers of symbols that are known.

Nothing is converted here, so that a unit stands in a release as a person wrote it; this finds the
mistyped ones, ``GPaa`` or ``ev``. The symbols are those of the SI with its prefixes, and those that go with
tables of materials.
"""

from __future__ import annotations

import difflib
import re
from functools import cache
from itertools import product

_PREFIXES = ("", *"QRYZEPTGMkhdcmuµμnpfazyrq", "da")
_WITH_PREFIX = (
    "m g s A K mol cd Hz N Pa J W C V F S T Wb H lm lx Bq Gy Sv Ω Ohm ohm eV Ha Ry bar L l cal Wh Ah B"
)
_ALONE = (
    "Å Ang ang bohr Bohr a.u. arb.u. e u Da amu muB mu_B µB μB kB Oe G D atm Torr torr mmHg psi min h hr d "
    "yr deg degC ° °C rad sr % ppm ppb wt at vol HV HB HK HRC HRB dB f.u. fu log log10 ln per t"
)
# Words are known in any case.
_WORDS = (
    "angstrom hartree rydberg debye gauss meter metre gram second hour day year ampere kelvin mole newton "
    "pascal joule watt coulomb volt farad siemens tesla weber henry hertz electronvolt calorie liter litre "
    "celsius degree degrees percent mohs atom atoms site sites cell ion bond electron states"
)
#: What a mistyped symbol is compared with.
_COMMON = (
    "eV meV keV J kJ kcal mol Pa kPa MPa GPa bar kbar K °C Å nm um cm mm m kg g s fs ps ns THz cm-1 Hz V mV "
    "W mW S muB T Oe Ha Ry HV % atom f.u. cell C F A mA N mN mAh"
)

_SYMBOL = r"a\.u\.|arb\.u\.|f\.u\.|mu_B|log10|°C?|%|(?:(?![⁰¹²³⁴⁵⁶⁷⁸⁹])[^\W\d_])+"
_TOKEN = re.compile(rf"[\s\d.⁰¹²³⁴⁵⁶⁷⁸⁹⁻+\-*/^()·×⋅_,]|(?P<symbol>{_SYMBOL})")


def unknown_symbol(unit: str) -> str | None:
    """Find what keeps a text from being a unit.

    Parameters
    ----------
    unit
        ``GPa``, ``eV/atom``, ``W m^-1 K^-1``; empty for a number without a unit.

    Returns
    -------
    The first symbol that is not known, the whole text where its form is none, or None for a unit.
    """
    place, symbols = 0, 0
    while place < len(unit):
        token = _TOKEN.match(unit, place)
        if token is None:
            return unit
        if token["symbol"]:
            symbols += 1
            if token["symbol"] not in _symbols() and token["symbol"].casefold() not in _WORDS.split():
                return token["symbol"]
        place = token.end()
    whole = symbols and unit.count("(") == unit.count(")") and unit.strip()[-1] not in "*/^("
    return None if whole or unit.strip() in ("", "1") else unit


def nearest(symbol: str) -> str | None:
    """Return the common symbol that a mistyped one is most like; None where there is none like it."""
    common = _COMMON.split()
    by_case = [known for known in common if known.casefold() == symbol.casefold()]
    return next(iter(by_case or difflib.get_close_matches(symbol, common, n=1, cutoff=0.7)), None)


@cache
def _symbols() -> frozenset[str]:
    return frozenset((*_ALONE.split(), *map("".join, product(_PREFIXES, _WITH_PREFIX.split()))))
