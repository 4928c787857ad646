"""What a person says of records of their own: their labels, their licence and how to cite them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mpclean.errors import UserError
from mpclean.pipeline.labels import OwnLabels
from mpclean.sources import Source
from mpclean.sources.label_tables import labels_beside, open_labels
from mpclean.vocabulary.labels import parse_label, unique_labels

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class OwnWishes:
    """What a person says of records of their own.

    Attributes
    ----------
    label
        Labels to keep, each ``NAME:UNIT``.
    labels
        A table of labels by id.
    licence, citation
        Of the records, where the person knows better than the files do.
    """

    label: tuple[str, ...] = ()
    labels: str | Path | pd.DataFrame | None = None
    licence: str | None = None
    citation: str | None = None

    def stated_of(self, source: Source) -> Source:
        """Return the source with the licence and the citation that the person gave."""
        identity = source.identity
        for text in (self.licence, self.citation):
            if text is not None and not (text.strip() and text.isprintable()):
                raise UserError(f"--licence or --citation {text!r}: one line of text is needed")
        return replace(
            source,
            identity=replace(
                identity,
                licence=self.licence or identity.licence,
                citation=self.citation or identity.citation,
            ),
        )

    def labels_of(self, source: Source, path: Path | None) -> OwnLabels:
        """Return the labels to keep: those that the person, a TOML beside the source or its header names."""
        wanted = [parse_label(text) for text in self.label]
        if path is not None:
            wanted += [one for one in labels_beside(path) if one.name not in {label.name for label in wanted}]
        asked = unique_labels(wanted)
        names = frozenset(label.name for label in asked)
        every = (*asked, *(one for one in source.labels if one.name not in names))
        if self.labels is None:
            return OwnLabels(every, None, names)
        table = open_labels(self.labels, every)
        joined = set(table.values.column_names)
        stated = tuple(label for label in every if label.name not in joined)
        return OwnLabels(stated, table, names - joined)
