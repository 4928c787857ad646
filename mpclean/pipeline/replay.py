"""A build against the ids that the authors of a version published.

What they kept is a list of ids; what a build made of each is in its release and its ledger.
The counts of `compare` stand in the manifest and in the card, and `recount` finds them again,
with those of the stages and the targets, from what lies in the release alone.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.release.reader import Release
from mpclean.release.tables import target_statistics
from mpclean.vocabulary.schema import TARGETS

#: The reason of listed ids that no record of the source has.
NOT_THERE = "not in the snapshot"


def compare(listed: pa.Table, kept: pa.Table, ledger: pa.Table) -> dict[str, Any]:
    """Count the ids of a published list that a build kept, those it did not, and others it kept.

    Parameters
    ----------
    listed
        Table with ``material_id``, the published list.
    kept
        Table with ``material_id`` and ``nsites``: records that passed the rules and are on
        the list.
    ledger
        Table of `mpclean.vocabulary.schema.LEDGER`; a record that passed the rules and is not on the
        list left by the rule ``split`` (`mpclean.splits.published`).

    Returns
    -------
    ``listed``, ``agree`` (on the list and kept), ``missing`` (on the list and not kept: the
    rule, None where there is no such record, the reason and the number of ids, most frequent
    first), ``extra`` (kept by the rules, not on the list), and ``one_atom``: those of
    ``agree`` and ``extra`` whose primitive cell has one atom.
    """
    extra = ledger.filter(pc.equal(ledger["rule"], "split"))
    on_list = pc.is_in(ledger["material_id"], value_set=listed["material_id"].combine_chunks())
    stayed = pc.is_in(ledger["material_id"], value_set=kept["material_id"].combine_chunks())
    left = ledger.filter(pc.and_not(on_list, stayed)).select(["material_id", "rule", "reason"]).to_pylist()
    # Rules write the ledger in their order, so the last row of an id is that of its own record
    # and not of an unreadable namesake.
    fates = {row["material_id"]: (row["rule"], row["reason"]) for row in left}
    ways: Counter[tuple[str | None, str]] = Counter(fates.values())
    if absent := listed.num_rows - kept.num_rows - len(fates):
        ways[None, NOT_THERE] = absent
    return {
        "listed": listed.num_rows,
        "agree": kept.num_rows,
        "missing": [
            {"rule": rule, "reason": reason, "ids": count}
            for (rule, reason), count in sorted(ways.items(), key=lambda way: (-way[1], way[0][1]))
        ],
        "extra": extra.num_rows,
        "one_atom": {
            "agree": int(pc.sum(pc.equal(kept["nsites"], 1)).as_py() or 0),
            "extra": int(pc.sum(pc.equal(extra["detail"], "nsites 1")).as_py() or 0),
        },
    }


def recount(release: Release) -> dict[str, Any]:
    """Count a replay from the rows and the ledger of a release, without its manifest's.

    Parameters
    ----------
    release
        A release with a replay.

    Returns
    -------
    ``stages`` (records kept after each), ``statistics`` (of the targets) and ``replay``, with
    the values that the manifest has.

    Raises
    ------
    UserError
        If the release has no published list, or a table cannot be read.
    """
    listed, ledger = release.listed(), release.ledger()
    rows = release.table(columns=["material_id", "nsites", *TARGETS, "is_insulator"])
    excluded = Counter(ledger["rule"].to_pylist())
    kept = rows.num_rows + ledger.num_rows
    stages = {"records": kept}
    for rule in (*release.manifest.parameters.rules, "split"):
        kept -= excluded[rule]
        stages[rule] = kept
    stages["insulators"] = int(pc.sum(rows["is_insulator"]).as_py() or 0)
    return {
        "stages": stages,
        "statistics": target_statistics(rows),
        "replay": compare(listed, rows, ledger),
    }
