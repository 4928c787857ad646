"""`croissant.json` of a release: what it is, in the words that catalogues and loaders of data sets share.

Croissant 1.1 of MLCommons, docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html. It has no word for
the unit of a field, which so ends its description.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from mpclean.release.manifest import Manifest
from mpclean.schema import COLUMNS, SPLITS

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
    """The text of the file.

    Parameters
    ----------
    manifest
        A manifest with all files but this one and itself.
    """
    upstream = manifest["upstream"]
    warning = "Synthetic: the labels describe no real material. " if upstream["synthetic"] else ""
    stated = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": manifest["name"],
        "description": f"{warning}{upstream['title']}. Content hash {manifest['content_hash']}.",
        "version": manifest["release_version"],
        "datePublished": _published(upstream),
        "license": _licence(upstream["licence"]),
        "creator": _creator(upstream),
        "citeAs": upstream["citation"],
        "distribution": [*_files(manifest), _shards()],
        "recordSet": [_splits(manifest), _crystals(manifest)],
    }
    return json.dumps({k: v for k, v in stated.items() if v is not None}, indent=2, ensure_ascii=False) + "\n"


def _published(upstream: dict[str, Any]) -> str | None:
    """The day of the upstream version, which the Materials Project names its versions by."""
    stated = upstream["stated_versions"]
    version = upstream["database_version"] or (stated[0] if len(stated) == 1 else None)
    day = re.match(r"v?(\d{4})[._](\d{2})[._](\d{2})", str(version))
    return "-".join(day.groups()) if day else None


def _licence(source: str) -> str | None:
    return None if source == "unknown" else "https://creativecommons.org/licenses/by/4.0/"


def _creator(upstream: dict[str, Any]) -> dict[str, Any] | None:
    """Whom the citation names first."""
    name = "mpclean" if upstream["synthetic"] else upstream["citation"].split(",")[0]
    return None if name.startswith("unknown") else {"@type": "sc:Organization", "name": name}


def _files(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{file['bytes']} B",
            "encodingFormat": _FORMATS[PurePosixPath(name).suffix],
            "sha256": file["sha256"],
        }
        for name, file in sorted(manifest["files"].items())
    ]


def _shards() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": "shards",
        "name": "shards",
        "description": "The shards of all splits.",
        "encodingFormat": _PARQUET,
        "includes": "data/*.parquet",
    }


def _splits(manifest: Manifest) -> dict[str, Any]:
    used = [split for split in SPLITS if manifest["splits"][split]]
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "description": f"Strategy: {manifest['split']['strategy']}. {manifest['split']['description']}",
        "key": {"@id": "splits/name"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": "splits/name",
                "name": "name",
                "description": COLUMNS["split"].meaning,
                "dataType": "sc:Text",
            }
        ],
        "data": [{"splits/name": split} for split in used],
    }


def _crystals(manifest: Manifest) -> dict[str, Any]:
    split = {
        "@type": "cr:Field",
        "@id": "crystals/split",
        "name": "split",
        "description": COLUMNS["split"].meaning,
        "dataType": "sc:Text",
        "references": {"field": {"@id": "splits/name"}},
        "source": {
            "fileSet": {"@id": "shards"},
            "extract": {"fileProperty": "fullpath"},
            # mlcroissant applies it twice, the second time to what it found, and makes a glob of it.
            "transform": {"regex": f"(?:data/)?({'|'.join(SPLITS)})(?:-.+parquet)?$"},
        },
    }
    return {
        "@type": "cr:RecordSet",
        "@id": "crystals",
        "name": "crystals",
        "description": "One record for every crystal that is kept.",
        "key": {"@id": "crystals/material_id"},
        "field": [split, *map(_field, manifest["columns"])],
    }


def _field(name: str) -> dict[str, Any]:
    column = COLUMNS[name]
    is_list = pa.types.is_list(column.type)
    return {
        "@type": "cr:Field",
        "@id": f"crystals/{name}",
        "name": name,
        "description": column.meaning + (f", {column.unit}" if column.unit else ""),
        "dataType": _TYPES[column.type.value_type if is_list else column.type],
        **({"isArray": True, "arrayShape": "-1"} if is_list else {}),
        "source": {"fileSet": {"@id": "shards"}, "extract": {"column": name}},
    }
