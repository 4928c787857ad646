"""The life of a record as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from mpclean.crystal.cells import SPACEGROUP_TOLERANCE
from mpclean.vocabulary.text import printable

if TYPE_CHECKING:
    from mpclean.inspection.explain.life import Life


def describe(life: Life) -> str:
    """Write a life as text for people."""
    symmetry, bonds = life.symmetry, life.bonds
    what = f" {symmetry['reduced_formula']}" if symmetry else ""
    sections = {"source": _source_rows(life)}
    if symmetry:
        sections["symmetry"] = _symmetry_rows(symmetry)
    if bonds:
        sections["bonds"] = _bond_rows(bonds)
        sections["labels"] = [
            (label["name"], f"{_text(label['value'])} {label['unit']}") for label in life.labels
        ]
    sections["rules"] = [
        (v["title"], ": ".join(filter(None, (v["verdict"], _joined(v["reason"], v["detail"])))))
        for v in life.verdicts
    ]
    if life.replaced_by:
        later = life.replaced_by["excluded_later"]
        fate = _joined("which was excluded later", *later.values()) if later else "which is kept"
        words = _joined(_exchange_text(life.replaced_by, "below"), fate)
        sections["replaced by"] = [(life.replaced_by["material_id"], words)]
    if life.replaced:
        sections["replaced"] = [
            (other["material_id"], _exchange_text(other, "above")) for other in life.replaced
        ]
    if life.kept:
        sections["splits"] = [(name, part or "in no part of it") for name, part in life.splits.items()]
    if life.listed:
        sections["published list"] = [("part", life.listed)]
    if life.namesakes:
        sections["other records of this id"] = [
            (row["rule"], _joined(row["reason"], row["detail"])) for row in life.namesakes
        ]
    lines = [printable(f"{life.material_id}{what}: ") + ("kept" if life.kept else "excluded")]
    for title, rows in sections.items():
        shown = [[printable(cell) for cell in row] for row in rows]
        table = tabulate(shown, tablefmt="plain", disable_numparse=True)
        lines += ["", title, *(f"  {line}".rstrip() for line in table.splitlines())]
    return "\n".join(lines)


_Rows = list[tuple[str, str]]


def _source_rows(life: Life) -> _Rows:
    source = life.source
    return [
        ("records", f"{source['title']} ({source['source']}, {source['licence']})"),
        ("sha256", source["sha256"]),
        (
            "version",
            f"by the source {source['stated_version'] or 'none'}, by --version "
            f"{source['claimed_version'] or 'none'}",
        ),
        ("place", source["place"]),
    ]


def _symmetry_rows(symmetry: dict[str, Any]) -> _Rows:
    computed = symmetry["spacegroup_computed"]
    differs = "; the source's, another was computed in the build" if symmetry["stated_differs"] else ""
    in_source = f"{symmetry['formula']} in the source, " if symmetry["formula"] else ""
    return [
        ("formula", f"{in_source}{symmetry['nsites']} atoms in the primitive cell"),
        ("volume", f"{symmetry['volume']:.2f} A^3 of the primitive cell"),
        ("space group", f"{symmetry['spacegroup_number']} ({symmetry['spacegroup_symbol']}){differs}"),
        ("computed here", f"{computed or 'none'} at {SPACEGROUP_TOLERANCE:g} A"),
        *([("Bravais type", symmetry["bravais_lattice"])] if symmetry["bravais_lattice"] else []),
        ("prototype", symmetry["prototype"] or "none found"),
    ]


def _bond_rows(bonds: dict[str, Any]) -> _Rows:
    coordination = (
        f"{symbol} {'-'.join(map(str, dict.fromkeys((entry['neighbours'][0], entry['neighbours'][-1]))))}"
        for symbol, entry in bonds["coordination"].items()
    )
    lengths = [
        (name, f"{bonds[name]['length']:.3f} A, {bonds[name]['between']}")
        for name in ("shortest", "longest")
        if name in bonds
    ]
    return [
        ("number", f"{bonds['number']:,} ({bonds['kind']})"),
        ("coordination", ", ".join(coordination)),
        *lengths,
        ("dimensionality", str(bonds["dimensionality"])),
        ("components", f"{bonds['n_components']} of the 2 x 2 x 2 supercell"),
        ("without a bond", f"{bonds['n_isolated']} atoms"),
    ]


def _joined(*words: str | None) -> str:
    return ", ".join(filter(None, words))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


_MATCH = {
    True: "the same structure (StructureMatcher)",
    False: "another structure (StructureMatcher)",
    None: "structures not compared",
}


def _exchange_text(exchange: dict[str, Any], way: str) -> str:
    """Put what is known of an exchange in words: the other record is above or below this one."""
    by = exchange["energy_difference"]
    energy = "energies not known" if by is None else f"{by:.6g} eV/atom {way} this one"
    return _joined(energy, _MATCH[exchange.get("structures_match")])
