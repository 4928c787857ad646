"""The facts of the life of a record, each from the files of a release."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import takewhile
from typing import Any

import moyopy
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mpclean.crystal.bonding import topology
from mpclean.crystal.cells import SPACEGROUP_TOLERANCE, SymmetryError, spacegroup_number
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.similarity.prototypes import prototype
from mpclean.release.manifest import Manifest
from mpclean.release.reader import Release
from mpclean.vocabulary.elements import SYMBOLS
from mpclean.vocabulary.schema import SOURCE_LABELS, TARGETS

#: Labels of a record that have a row of their own, in this order.
_LABELS = (*TARGETS, *SOURCE_LABELS, "is_insulator", "is_hubbard", "run_type", "correction_scheme", "date")

#: Stages of a manifest that are no rules.
_NO_RULES = ("records", "insulators")


def similar(release: Release, ledger: pa.Table, name: str) -> str:
    """End a message about an unknown record: ids that are like its own."""
    kept = release.table(columns=["material_id"])["material_id"].to_pylist()
    known = [*kept, *ledger["material_id"].drop_null().to_pylist()]
    similar = list(dict.fromkeys(get_close_matches(name, known, n=5, cutoff=0.5)))[:3]
    return f"; similar are {', '.join(similar)}" if similar else f"; its ids are like {known[0]}"


def example(release: Release, left: dict[str, Any]) -> dict[str, Any]:
    """Find what a release holds of the crystal of an excluded record; nothing of most."""
    examples = release.examples()
    same = [pc.equal(examples[name], left[name]) for name in ("material_id", "rule")]
    return dict(*examples.filter(pc.and_(*same)).slice(0, 1).to_pylist())


def source(manifest: Manifest, row: dict[str, Any], place: str) -> dict[str, Any]:
    """Tell where a record came from: its source, licence, version and place."""
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


def symmetry(manifest: Manifest, row: dict[str, Any], crystal: Crystal) -> dict[str, Any]:
    """Tell formulas, atoms, volume, space groups, Bravais type and prototype of a crystal."""
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


def bonds(manifest: Manifest, row: dict[str, Any], crystal: Crystal) -> dict[str, Any]:
    """Tell number, lengths (A), coordination and topology of the bonds of a crystal."""
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


def labels(release: Release, row: dict[str, Any]) -> list[dict[str, Any]]:
    """List the labels of a record that are known, with their units."""
    own = [label.name for label in release.labels if label.name not in _LABELS]
    return [
        {"name": name, "value": row[name], "unit": release.column(name).unit}
        for name in (*_LABELS, *own)
        if row.get(name) is not None
    ]


def verdicts(manifest: Manifest, left: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Tell what each rule said of a record: it passed, was excluded, or was never reached."""
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


def exchange(left: dict[str, Any]) -> dict[str, Any]:
    """Give what a ledger row says of the exchange of a record for another."""
    return {
        name: value
        for name, value in left.items()
        if name not in ("material_id", "rule", "reason", "detail", "kept_id")
    }


def replaced_by(release: Release, ledger: pa.Table, left: dict[str, Any] | None) -> dict[str, Any] | None:
    """Find the record that was kept in the place of an excluded one; None where there is none."""
    if left is None or left["kept_id"] is None:
        return None
    fates = ledger.filter(pc.equal(ledger["material_id"], left["kept_id"])).to_pylist()
    stayed = release.find(left["kept_id"]) is not None
    fate = None if stayed or not fates else {name: fates[-1][name] for name in ("rule", "reason", "detail")}
    return {"material_id": left["kept_id"], **exchange(left), "excluded_later": fate}


def part(assigned: pa.Table, name: str) -> str | None:
    """Find the part of a split that a record is in; None where it is in none."""
    parts = assigned["split"].filter(pc.equal(assigned["material_id"], name)).to_pylist()
    return parts[0] if parts else None
