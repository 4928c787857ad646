"""Facts about the chemical elements: symbols and the order in which formulas list them."""

from __future__ import annotations

#: Symbols by atomic number; index 0 is empty.
SYMBOLS: tuple[str, ...] = (
    "",
    *(
        "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br "
        "Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er "
        "Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md "
        "No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og "
    ).split(),
)

#: Atomic numbers by symbol.
ATOMIC_NUMBERS: dict[str, int] = {symbol: z for z, symbol in enumerate(SYMBOLS) if z}

# Symbols by rising Pauling electronegativity (as tabulated in pymatgen), those without a
# value last by atomic number: the order of pymatgen's formulas, made total.
_BY_ELECTRONEGATIVITY = (
    "Fr Cs K Rb Ba Ra Na Sr Li Ca La Tb Yb Ac Ce Pr Pm Nd Sm Eu Gd Y Dy Ho Er Tm Lu Pu Hf Th Am Cm Bk "
    "Cf Es Fm Md No Lr Mg Zr Sc Np U Ta Pa Ti Mn Be Nb Al Tl V Zn Cr Cd In Ga Fe Co Si Cu Tc Re Ni Ag "
    "Sn Hg Po Ge Bi B Sb Te Mo As P H Ru Pd Os Ir At Rn Rh Pt Pb W Au C Se S Xe I Br Kr N Cl O F He "
    "Ne Ar Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og "
).split()

#: Rank by atomic number in the order of rising electronegativity.
ELECTRONEGATIVITY_ORDER: tuple[int, ...] = (
    -1,
    *(_BY_ELECTRONEGATIVITY.index(symbol) for symbol in SYMBOLS[1:]),
)
