"""The dataset card: README.md of a release, from its manifest; every number is computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from mpclean.release.configurations import configurations
from mpclean.release.layout import REPORT, shard
from mpclean.release.manifest import Manifest, PartRows
from mpclean.release.tables import (
    coverage,
    funnel_rows,
    merge_note,
    merge_rows,
    more_split_rows,
    render,
    replay_notes,
    replay_rows,
    split_rows,
    target_rows,
)
from mpclean.vocabulary.labels import column_of, own_names
from mpclean.vocabulary.schema import PARTS
from mpclean.vocabulary.text import markdown


def write_card(manifest: Manifest) -> str:
    """Write the text of the card.

    Parameters
    ----------
    manifest
        A manifest; of its files the card speaks of the report, where there is one.
    """
    front = yaml.safe_dump(_front_matter(manifest), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{front}---\n\n{_body(manifest)}"


def _front_matter(manifest: Manifest) -> dict[str, Any]:
    upstream = manifest.upstream
    total = sum(manifest.splits.values())
    configs: list[dict[str, Any]] = []
    info: list[dict[str, Any]] = []
    for name, options, description, parts in _configurations(manifest):
        head = {"config_name": name} | ({"default": True} if not configs else {})
        files = [{"split": split, "path": part.files} for split, part in parts.items()]
        configs.append(head | {"data_files": files} | options)
        info.append(
            {
                "config_name": name,
                "description": description,
                "version": manifest.release_version,
                "splits": [
                    {"name": split, **part.model_dump(include={"num_examples", "num_bytes"})}
                    for split, part in parts.items()
                ],
            }
        )
    return {
        "license": _hub_licence(upstream.licence),
        "pretty_name": manifest.name + (" (SYNTHETIC)" if upstream.synthetic else ""),
        "size_categories": [_size_category(total)],
        "source_datasets": ["original"],
        "task_categories": ["graph-ml", "tabular-regression"],
        "tags": [
            "materials-science",
            "crystal-structures",
            "chemistry",
            *(["synthetic"] if upstream.synthetic else []),
            *(["materials-project"] if _MATERIALS_PROJECT in upstream.citation else []),
        ],
        "configs": configs,
        "dataset_info": info,
    }


def _configurations(
    manifest: Manifest,
) -> Iterator[tuple[str, dict[str, Any], str, dict[str, PartRows]]]:
    """Name, options, description and parts of all that ``load_dataset`` can be asked for.

    Parts are those with rows: an empty one makes
    ``load_dataset`` fail. What a description hashes is what the cache of datasets goes by.
    """
    content = f"content hash {manifest.content_hash}"
    for configuration in configurations(manifest.columns, own_names(manifest.labels)):
        counts = manifest.counts[configuration.name]
        parts = {
            split: PartRows(
                **counts[split].model_dump(), files=[shard(f"data/{split}", k, n) for k in range(n)]
            )
            for split in PARTS
            if (n := manifest.shards[split]) and counts[split].num_examples
        }
        if parts:
            yield configuration.name, configuration.card_entry(), content, parts
    for name, entry in sorted(manifest.more_splits.items()):
        parts = {split: entry.rows[split] for split in PARTS if split in entry.rows}
        yield name, {}, f"{content}, split {entry.content_hash}", parts


#: What the citation of records of the Materials Project has.
_MATERIALS_PROJECT = "10.1063/1.4812323"

#: Licences that allow what is made here of the records to be CC BY 4.0.
_COMPATIBLE = ("CC-BY-4.0", "MIT", "CC0-1.0")


def _hub_licence(source: str) -> str:
    """Return the licence in the words of the Hub: of the release where the source's allows it."""
    return "cc-by-4.0" if source in _COMPATIBLE else source.lower()


def _size_category(rows: int) -> str:
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((label for bound, label in bounds if rows < bound), "1M<n<10M")


_SYNTHETIC = """> **Synthetic data.** The labels of this release come from a formula that was made up to try
> software with. They describe no real material. Do not train a model for use on them.

"""


def _replay(manifest: Manifest) -> str:
    notes = "\n".join(f"- {note}" for note in replay_notes(manifest))
    return f"""## Against the published list

{render(replay_rows(manifest), "github")}

{notes}

The list is in `replay/listed.parquet`; with the ledger it gives the reason of every id.

"""


def _merges(manifest: Manifest) -> str:
    table = merge_rows(manifest)
    if not table[1]:
        return ""
    return f"""
Records with the formula and space group of one of lower energy, by what pymatgen's `StructureMatcher` says
of the two, with the spread of their energies:

{render(table, "github")}

{merge_note(manifest)} The ledger has the verdict and the energy difference of each excluded one.
"""


def _report(manifest: Manifest) -> str:
    if f"{REPORT}/index.html" not in manifest.files:
        return ""
    return f"""
![Records kept after each stage]({REPORT}/figures/funnel.png)

![Crystals by element]({REPORT}/figures/elements.png)

More figures, drawings of what was excluded, and what the splits leak: `{REPORT}/index.html`.
"""


def _more_splits(manifest: Manifest) -> str:
    table = more_split_rows(manifest)
    if not table[1]:
        return ""
    return f"""{render(table, "github")}

Each of these is a configuration too, with all columns, on files of its own under `splits/`.

"""


def _body(manifest: Manifest) -> str:
    upstream = manifest.upstream
    claimed = markdown(upstream.claimed_version or "none")
    stated = markdown(", ".join(upstream.stated_versions)) or "none"
    drift = f" {sentence}" if (sentence := coverage(manifest)) else ""
    parameters = manifest.parameters
    if parameters.bonds == "voronoi":
        bonds = (
            "Bonds are faces of the periodic Voronoi tessellation "
            f"of at least {parameters.min_area:g} A^2 between atoms at most r_a + r_b + "
            f"{parameters.bond_tolerance:g} A (Cordero radii) and "
            f"{parameters.max_bond_length:g} A apart."
        )
    else:
        bonds = f"Edges join every pair of atoms at most {parameters.cutoff:g} A apart, through every image."
    known = [column_of(name, manifest.labels) for name in manifest.columns]
    columns = [[f"`{column.name}`", column.unit, column.meaning] for column in known]
    used = [name for name, *_ in _configurations(manifest)]
    configs = ", ".join(f"`{name}`" for name in used)
    shown = "insulators" if "insulators" in used else used[0]
    return f"""# {markdown(manifest.name)} {manifest.release_version}

{_SYNTHETIC if upstream.synthetic else ""}{markdown(upstream.title)}.

- Upstream version: claimed {claimed}, stated by the source {stated}.{drift}
- Source: {upstream.source}, sha256 `{upstream.sha256}`.
- Content hash: `{manifest.content_hash}` (over the rows of data, splits and ledger).
- Configurations: {configs}.

## How to load it

```python
from datasets import load_dataset

load_dataset("org/name", "{shown}")  # the newest version
load_dataset("org/name", "{shown}", revision="v{manifest.release_version}")  # this one
```

In place of `org/name` goes the name of this data set on the Hub, or the path of this folder.

## What was kept

{render(funnel_rows(manifest), "github")}

Every excluded record is in `ledger/excluded.parquet` with the rule and the reason.
Of {manifest.spacegroups.stated:,} space groups that the source states,
{len(manifest.spacegroups.differ):,} differ from the one found at symprec
{parameters.spacegroup_tolerance:g} A; the source's counts, and the manifest lists them.
{_merges(manifest)}{_report(manifest)}
## Splits

Strategy: {manifest.split.strategy}. {manifest.split.description}

{render(split_rows(manifest), "github")}

{_more_splits(manifest)}## Targets

{render(target_rows(manifest), "github")}

Mean and population standard deviation over all records of the release.

{_replay(manifest) if manifest.replay else ""}## Columns

{render((["column", "unit", "meaning"], columns), "github")}

All arrays describe the canonical primitive cell (found at {parameters.cell_tolerance:g} A). {bonds}

## Licence and citation

{_licence(markdown(upstream.licence))} Cite: {markdown(upstream.citation)}.
"""


def _licence(source: str) -> str:
    if source == "unknown":
        return "The source states no licence: find out whose the records are before you pass them on."
    if source not in _COMPATIBLE:
        return f"{source}, as of the records; see that it allows what you want to do."
    return f"CC BY 4.0; source licence: {source}."
