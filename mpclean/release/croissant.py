"""`croissant.json` of a release: what it is, in the words that catalogues and loaders of data sets share.

Croissant 1.1 of MLCommons, docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html. It has no word for
the unit of a field, which so ends its description.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from mpclean.release.manifest import Manifest, Upstream
from mpclean.release.tables import described
from mpclean.vocabulary.labels import column_of
from mpclean.vocabulary.schema import COLUMNS, PARTS, Column

#: The context that the specification asks for.
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_PARQUET = "application/x-parquet"

#: Media types of the files that a release may hold, by the ends of their names.
_FORMATS = {
    ".parquet": _PARQUET,
    ".md": "text/markdown",
    ".json": "application/json",
    ".html": "text/html",
    ".png": "image/png",
}

#: Croissant's names of the types of single values.
_TYPES = {
    pa.string(): "sc:Text",
    pa.bool_(): "sc:Boolean",
    pa.int8(): "cr:Int8",
    pa.int16(): "cr:Int16",
    pa.uint8(): "cr:UInt8",
    pa.uint16(): "cr:UInt16",
    pa.float32(): "cr:Float32",
    pa.float64(): "cr:Float64",
}


def write_croissant(manifest: Manifest) -> str:
    """Write the text of the file.

    Parameters
    ----------
    manifest
        A manifest with all files but this one and itself.
    """
    upstream = manifest.upstream
    warning = "Synthetic: the labels describe no real material. " if upstream.synthetic else ""
    stated = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": manifest.name,
        "description": f"{warning}{upstream.title}. Content hash {manifest.content_hash}.",
        "version": manifest.release_version,
        "datePublished": _published(upstream),
        "license": _licence(upstream.licence),
        "creator": _creator(upstream),
        "citeAs": upstream.citation,
        "distribution": [*_files(manifest), *(cut.file_set() for cut in _cuts(manifest))],
        "recordSet": [
            record_set for cut in _cuts(manifest) for record_set in (cut.splits(), cut.crystals(manifest))
        ],
    }
    return json.dumps({k: v for k, v in stated.items() if v is not None}, indent=2, ensure_ascii=False) + "\n"


def _published(upstream: Upstream) -> str | None:
    """Compute the day of the upstream version, which the Materials Project names its versions by."""
    stated = upstream.stated_versions
    version = upstream.database_version or (stated[0] if len(stated) == 1 else None)
    day = re.match(r"v?(\d{4})[._](\d{2})[._](\d{2})", str(version))
    return "-".join(day.groups()) if day else None


def _licence(source: str) -> str | None:
    return None if source == "unknown" else "https://creativecommons.org/licenses/by/4.0/"


def _creator(upstream: Upstream) -> dict[str, Any] | None:
    """Whom the citation names first."""
    name = "mpclean" if upstream.synthetic else upstream.citation.split(",")[0]
    return None if name.startswith("unknown") else {"@type": "sc:Organization", "name": name}


def _files(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{file.bytes} B",
            "encodingFormat": _FORMATS[PurePosixPath(name).suffix],
            "sha256": file.sha256,
        }
        for name, file in sorted(manifest.files.items())
    ]


@dataclass(frozen=True)
class _Cut:
    """One split of the crystals: the one of the build, or one that was added on rows of its own.

    Attributes
    ----------
    suffix
        What the names of its sets end in.
    description
        How it was made.
    files
        Names of its files, or what stands for them.
    pattern
        Regular expression of the names of its files, whose one group is the part.
    used
        Parts that have rows.
    """

    suffix: str
    description: str
    files: list[str]
    pattern: str
    used: list[str]

    def file_set(self) -> dict[str, Any]:
        return {
            "@type": "cr:FileSet",
            "@id": f"shards{self.suffix}",
            "name": f"shards{self.suffix}",
            "description": "The shards of all parts of a split.",
            "encodingFormat": _PARQUET,
            "includes": self.files,
        }

    def splits(self) -> dict[str, Any]:
        name = f"splits{self.suffix}"
        return {
            "@type": "cr:RecordSet",
            "@id": name,
            "name": name,
            "dataType": "cr:Split",
            "description": self.description,
            "key": {"@id": f"{name}/name"},
            "field": [
                {
                    "@type": "cr:Field",
                    "@id": f"{name}/name",
                    "name": "name",
                    "description": COLUMNS["split"].meaning,
                    "dataType": "sc:Text",
                }
            ],
            "data": [{f"{name}/name": split} for split in self.used],
        }

    def crystals(self, manifest: Manifest) -> dict[str, Any]:
        name = f"crystals{self.suffix}"
        split = {
            "@type": "cr:Field",
            "@id": f"{name}/split",
            "name": "split",
            "description": COLUMNS["split"].meaning,
            "dataType": "sc:Text",
            "references": {"field": {"@id": f"splits{self.suffix}/name"}},
            "source": {
                "fileSet": {"@id": f"shards{self.suffix}"},
                "extract": {"fileProperty": "fullpath"},
                "transform": {"regex": self.pattern},
            },
        }
        return {
            "@type": "cr:RecordSet",
            "@id": name,
            "name": name,
            "description": "One record for every crystal that is kept.",
            "key": {"@id": f"{name}/material_id"},
            "field": [split, *(self._field(column_of(name, manifest.labels)) for name in manifest.columns)],
        }

    def _field(self, column: Column) -> dict[str, Any]:
        name = column.name
        is_list = pa.types.is_list(column.type)
        return {
            "@type": "cr:Field",
            "@id": f"crystals{self.suffix}/{name}",
            "name": name,
            "description": column.meaning + (f", {column.unit}" if column.unit else ""),
            "dataType": _TYPES[column.type.value_type if is_list else column.type],
            **({"isArray": True, "arrayShape": "-1"} if is_list else {}),
            "source": {"fileSet": {"@id": f"shards{self.suffix}"}, "extract": {"column": name}},
        }


def _cuts(manifest: Manifest) -> Iterator[_Cut]:
    """Return the split of the build, and every one that was added."""
    yield _Cut(
        "",
        f"Strategy: {manifest.split.strategy}. {manifest.split.description}",
        ["data/*.parquet"],
        _pattern("data/", ""),
        [split for split in PARTS if manifest.splits[split]],
    )
    more = manifest.more_splits
    for name, entry in sorted(more.items()):
        # The name of a file has the part in each of the splits that were made together.
        together = sorted(other for other in more if more[other].made_as == entry.made_as)
        before = together.index(name)
        folder = f"splits/{entry.made_as}"
        yield _Cut(
            f"-{name}",
            described(entry),
            [file for split in PARTS if split in entry.rows for file in entry.rows[split].files],
            _pattern(re.escape(f"{folder}/") + before * ".+_", (len(together) - 1 - before) * "_.+"),
            [split for split in PARTS if split in entry.rows],
        )


def _pattern(before: str, after: str) -> str:
    # mlcroissant applies it twice, the second time to what it found, and makes a glob of it.
    return f"(?:{before})?({'|'.join(PARTS)})(?:{after}-.+parquet)?$"
