"""What a build found out, as typed values, before any of it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mpclean.pipeline.labels import LabelNotes


@dataclass(frozen=True)
class Stage:
    """How many records were there after a step of a build.

    Attributes
    ----------
    name
        ``records``, the name of a rule, ``bonds``, ``split`` or ``insulators``.
    title
        What the records have in common from here on, for tables.
    kept
        Records that are there after it.
    excluded
        Records that it excluded; None where it is no exclusion.
    """

    name: str
    title: str
    kept: int
    excluded: int | None = None


@dataclass(frozen=True)
class SplitOrigin:
    """Where the split of a build came from.

    Attributes
    ----------
    strategy
        ``random`` or ``published``.
    description
        One sentence for the card.
    """

    strategy: str
    description: str


@dataclass(frozen=True)
class Labels:
    """What is to be known of the labels of the kept records.

    Attributes
    ----------
    statistics
        Of the targets, as `mpclean.release.tables.target_statistics` counts them.
    own
        Names of the source's own labels that have values.
    n_insulators
        Records with a band gap above zero.
    """

    statistics: dict[str, Any]
    own: tuple[str, ...]
    n_insulators: int


@dataclass(frozen=True)
class Outcome:
    """A build that has judged every record.

    Attributes
    ----------
    kept
        ``position`` and ``material_id`` of the records of the release, in the order of the source.
    excluded
        Table of `mpclean.vocabulary.schema.LEDGER`.
    assigned
        Table of `mpclean.vocabulary.schema.SPLIT`.
    split
        Where the assignment came from.
    stages
        Counts, in order.
    labels
        Of the kept records.
    label_notes
        What became of the labels that records state and those of a table beside them.
    synthetic
        Whether the source, or a record of it, says that it is made up.
    stated_versions
        Database versions that records state, sorted.
    spacegroups
        How many records state a space group, and the ids of those that state another than was found.
    kept_by_source_formula
        Records that the rule ``duplicate`` would keep with the formula of the source's own cell; None
        without that rule.
    duplicates
        What each ``dedup`` of that rule would exclude (`mpclean.release.tables.merge_statistics`); None
        without that rule.
    replay
        The build against the published list (`mpclean.pipeline.replay.compare`); None without one.
    """

    kept: pa.Table
    excluded: pa.Table
    assigned: pa.Table
    split: SplitOrigin
    stages: tuple[Stage, ...]
    labels: Labels
    label_notes: LabelNotes
    synthetic: bool
    stated_versions: tuple[str, ...]
    spacegroups: dict[str, Any]
    kept_by_source_formula: int | None
    duplicates: dict[str, Any] | None
    replay: dict[str, Any] | None
