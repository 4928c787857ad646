"""The life of one record: where it came from, what every rule said of it, and where it is now.

Everything is read from a release, or found from what it holds: its rows, its ledger, its splits
and its manifest. Of an excluded record it holds what the ledger says, and of some their crystals.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any

import moyopy
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tabulate import tabulate

from mpclean.crystal.bonding import topology
from mpclean.crystal.cells import SPACEGROUP_TOLERANCE, SymmetryError, spacegroup_number
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.similarity.prototypes import prototype
from mpclean.errors import UserError
from mpclean.release.layout import LEDGER, LISTED
from mpclean.release.manifest import Manifest
from mpclean.release.reader import Release, open_release
from mpclean.vocabulary.elements import SYMBOLS
from mpclean.vocabulary.ids import normalise_id
from mpclean.vocabulary.schema import SOURCE_LABELS, TARGETS
from mpclean.vocabulary.text import printable

#: Labels of a record that have a row of their own, in this order.
_LABELS = (*TARGETS, *SOURCE_LABELS, "is_insulator", "is_hubbard", "run_type", "correction_scheme", "date")

#: Stages of a manifest that are no rules.
_NO_RULES = ("records", "insulators")


@dataclass(frozen=True, repr=False)
class Life:
    """What a release knows of one record.

    Attributes
    ----------
    material_id
        Its id, in the form by which it is known here.
    kept
        Whether it is a row of the release; if not, it is in the ledger.
    source
        Where it came from (title, source, sha256, licence, the version stated of it), and its place.
    symmetry
        Formulas, atoms, space group as stated and as computed, Bravais type and prototype; None
        of an excluded record of which the release has no crystal.
    bonds
        Number, shortest and longest (A), coordination of each element, and topology; None
        of an excluded record.
    labels
        ``{"name", "value", "unit"}`` of every label that is known.
    verdicts
        ``{"rule", "title", "verdict", "reason", "detail"}`` of each rule, in the order of the plan;
        a verdict is passed, excluded here or never reached.
    replaced_by
        The record that was kept in its place, what is known of the exchange, and what became of that one;
        None where there is none.
    replaced
        Records that were excluded for this one, with the same columns of the ledger.
    splits
        By the name of every split of the release the part that it is in; None where it is in none.
    listed
        The part of the published list that it is on, where the release is a replay.
    namesakes
        Rows of the ledger about other records of the source with the same id.
    """

    material_id: str
    kept: bool
    source: dict[str, Any]
    symmetry: dict[str, Any] | None
    bonds: dict[str, Any] | None
    labels: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    replaced_by: dict[str, Any] | None
    replaced: list[dict[str, Any]]
    splits: dict[str, str | None]
    listed: str | None
    namesakes: list[dict[str, Any]]

    def summary(self) -> dict[str, Any]:
        """Give what ``mpclean explain --json`` prints."""
        return asdict(self)

    def __repr__(self) -> str:
        return f"Life({self.material_id!r}: {'kept' if self.kept else 'excluded'})"

    def __str__(self) -> str:
        return describe(self)


def explain(release: Release | str | Path, material_id: str) -> Life:
    """Tell the life of one record; the command ``mpclean explain``.

    Parameters
    ----------
    release
        The release, or its folder.
    material_id
        Its id, numeric or alphabetical.

    Raises
    ------
    UserError
        If the release has no such record, with those of similar ids, cannot be read, or its files are
        not those of its manifest.

    Examples
    --------
    >>> print(mpclean.explain("releases/demo", "demo-2"))  # doctest: +SKIP
    demo-2 VIn: kept
    ...
    """
    release = open_release(release)
    release.require_intact()
    name = normalise_id(material_id)
    found = release.find(name)
    ledger = release.ledger()
    named = ledger.filter(pc.equal(ledger["material_id"], name)).to_pylist()
    if found is None and not named:
        raise UserError(
            f"{release.path}: no record {name!r}, kept or excluded{_similar(release, ledger, name)}"
        )
    if found is None:
        # Rules write the ledger in their order, so the last row of an id that was not kept is its own fate.
        left = named.pop()
        row, place = _example(release, left), f"{LEDGER}, rule {left['rule']}"
    else:
        left = None
        row, place = found
    crystal = Crystal.from_row(row) if row else None
    return Life(
        material_id=name,
        kept=found is not None,
        source=_source(release.manifest, row, place),
        symmetry=None if crystal is None else _symmetry(release.manifest, row, crystal),
        bonds=None if crystal is None or left else _bonds(release.manifest, row, crystal),
        labels=_labels(release, row),
        verdicts=_verdicts(release.manifest, left),
        replaced_by=_replaced_by(release, ledger, left),
        replaced=[
            {"material_id": other["material_id"], **_exchange(other)}
            for other in ledger.filter(pc.equal(ledger["kept_id"], name)).to_pylist()
            if other["material_id"] != name  # those are its namesakes
        ],
        splits={strategy: _part(release.assigned(strategy), name) for strategy in release.splits},
        listed=_part(release.listed(), name) if LISTED in release.manifest.files else None,
        namesakes=named,
    )


def _similar(release: Release, ledger: pa.Table, name: str) -> str:
    kept = release.table(columns=["material_id"])["material_id"].to_pylist()
    known = [*kept, *ledger["material_id"].drop_null().to_pylist()]
    similar = list(dict.fromkeys(get_close_matches(name, known, n=5, cutoff=0.5)))[:3]
    return f"; similar are {', '.join(similar)}" if similar else f"; its ids are like {known[0]}"


def _example(release: Release, left: dict[str, Any]) -> dict[str, Any]:
    """Find what a release holds of the crystal of an excluded record; nothing of most."""
    examples = release.examples()
    same = [pc.equal(examples[name], left[name]) for name in ("material_id", "rule")]
    return dict(*examples.filter(pc.and_(*same)).slice(0, 1).to_pylist())


def _source(manifest: Manifest, row: dict[str, Any], place: str) -> dict[str, Any]:
    upstream = manifest.upstream
    stated = row.get("database_version")
    if stated is None and len(upstream.stated_versions) == 1:
        (stated,) = upstream.stated_versions
    return {
        **{name: getattr(upstream, name) for name in ("title", "source", "sha256", "claimed_version")},
        "licence": row.get("licence") or upstream.licence,
        "stated_version": stated or upstream.database_version,
        "place": place,
    }


def _symmetry(manifest: Manifest, row: dict[str, Any], crystal: Crystal) -> dict[str, Any]:
    computed = spacegroup_number(crystal, SPACEGROUP_TOLERANCE)
    used = row["spacegroup_number"]
    try:
        found = prototype(crystal)
    except SymmetryError:
        found = None
    return {
        **{name: row.get(name) for name in ("formula", "reduced_formula", "nsites", "bravais_lattice")},
        "volume": crystal.volume,
        "spacegroup_number": used,
        "spacegroup_symbol": moyopy.SpaceGroupType(used).hm_short.replace(" ", ""),
        "spacegroup_computed": computed,
        # As the build found them, on the source's own coordinates.
        "stated_differs": row["material_id"] in manifest.spacegroups.differ,
        "prototype": found,
    }


def _bonds(manifest: Manifest, row: dict[str, Any], crystal: Crystal) -> dict[str, Any]:
    source, target = (np.array(row[name], dtype=np.int64) for name in ("edge_source", "edge_target"))
    image = np.array(row["edge_image"], dtype=np.int64).reshape(-1, 3)
    length = np.array(row["edge_length"])
    numbers = crystal.atomic_numbers
    degree = np.bincount(source, minlength=len(crystal))
    whole = topology(np.array([len(crystal)]), source, target, image)
    ends = {
        name: {
            "length": float(length[edge]),
            "between": "-".join(sorted(SYMBOLS[numbers[atom]] for atom in (source[edge], target[edge]))),
        }
        for name, edge in (("shortest", length.argmin()), ("longest", length.argmax()))
        if len(length)
    }
    return {
        "kind": manifest.parameters.bonds,
        "number": len(length) // 2,  # both directions of a bond are listed
        "coordination": {
            SYMBOLS[z]: {
                "atoms": int((numbers == z).sum()),
                "neighbours": np.unique(degree[numbers == z]).tolist(),
            }
            for z in np.unique(numbers)
        },
        **ends,
        "dimensionality": int(whole.dimensionality[0]),
        "n_components": int(whole.n_components[0]),
        "n_isolated": int(whole.n_isolated[0]),
    }


def _labels(release: Release, row: dict[str, Any]) -> list[dict[str, Any]]:
    own = [label.name for label in release.labels if label.name not in _LABELS]
    return [
        {"name": name, "value": row[name], "unit": release.column(name).unit}
        for name in (*_LABELS, *own)
        if row.get(name) is not None
    ]


def _verdicts(manifest: Manifest, left: dict[str, Any] | None) -> list[dict[str, Any]]:
    rules = [stage for stage in manifest.stages if stage.name not in _NO_RULES]
    passed = len(list(takewhile(lambda stage: not left or stage.name != left["rule"], rules)))
    verdicts = ["passed"] * passed + ["excluded here"] + ["never reached"] * len(rules)
    return [
        {
            "rule": stage.name,
            "title": stage.title,
            "verdict": verdict,
            "reason": left["reason"] if left and verdict == "excluded here" else None,
            "detail": left["detail"] if left and verdict == "excluded here" else None,
        }
        for stage, verdict in zip(rules, verdicts, strict=False)
    ]


def _exchange(left: dict[str, Any]) -> dict[str, Any]:
    """Give what a ledger row says of the exchange of a record for another."""
    return {
        name: value
        for name, value in left.items()
        if name not in ("material_id", "rule", "reason", "detail", "kept_id")
    }


def _replaced_by(release: Release, ledger: pa.Table, left: dict[str, Any] | None) -> dict[str, Any] | None:
    if left is None or left["kept_id"] is None:
        return None
    fates = ledger.filter(pc.equal(ledger["material_id"], left["kept_id"])).to_pylist()
    stayed = release.find(left["kept_id"]) is not None
    fate = None if stayed or not fates else {name: fates[-1][name] for name in ("rule", "reason", "detail")}
    return {"material_id": left["kept_id"], **_exchange(left), "excluded_later": fate}


def _part(assigned: pa.Table, name: str) -> str | None:
    parts = assigned["split"].filter(pc.equal(assigned["material_id"], name)).to_pylist()
    return parts[0] if parts else None


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
            f"stated {source['stated_version'] or 'none'}, claimed {source['claimed_version'] or 'none'}",
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
