"""The life of one record: where it came from, what every rule said of it, and where it is now.

Everything is read from a release, or found from what it holds: its rows, its ledger, its splits
and its manifest. Of an excluded record it holds what the ledger says, and of some their crystals.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc

from mpclean.crystal.crystal import Crystal
from mpclean.errors import UserError
from mpclean.inspection.explain import facts
from mpclean.inspection.explain.life import Life
from mpclean.release.layout import LEDGER, LISTED
from mpclean.release.reader import Release, open_release
from mpclean.vocabulary.ids import normalise_id


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
            f"{release.path}: no record {name!r}, kept or excluded{facts.similar(release, ledger, name)}"
        )
    if found is None:
        # Rules write the ledger in their order, so the last row of an id that was not kept is its own fate.
        left = named.pop()
        row, place = facts.example(release, left), f"{LEDGER}, rule {left['rule']}"
    else:
        left = None
        row, place = found
    crystal = Crystal.from_row(row) if row else None
    return Life(
        material_id=name,
        kept=found is not None,
        source=facts.source(release.manifest, row, place),
        symmetry=None if crystal is None else facts.symmetry(release.manifest, row, crystal),
        bonds=None if crystal is None or left else facts.bonds(release.manifest, row, crystal),
        labels=facts.labels(release, row),
        verdicts=facts.verdicts(release.manifest, left),
        replaced_by=facts.replaced_by(release, ledger, left),
        replaced=[
            {"material_id": other["material_id"], **facts.exchange(other)}
            for other in ledger.filter(pc.equal(ledger["kept_id"], name)).to_pylist()
            if other["material_id"] != name  # those are its namesakes
        ],
        splits={strategy: facts.part(release.assigned(strategy), name) for strategy in release.splits},
        listed=facts.part(release.listed(), name) if LISTED in release.manifest.files else None,
        namesakes=named,
    )


__all__ = ["Life", "explain"]
