"""Snapshots of documents: Parquet, JSON lines, JSON or YAML, gzipped or not, a file or a folder."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mpclean.errors import UserError
from mpclean.sources.base import Identity, Source, batched_documents
from mpclean.sources.files import ending, files_sha256, find_files, open_file

_Document = tuple[str, bytes | None, str | None]
_Placed = tuple[str, bytes]  # a place in a file, and the document there

#: Endings of the files that are read, each with or without ``.gz`` (Parquet without).
ENDINGS = (".parquet", ".jsonl", ".ndjson", ".json", ".yaml", ".yml")

_CHUNK = 1 << 20


def open_records(path: Path) -> Source:
    """A snapshot as a source.

    Parameters
    ----------
    path
        A file, or a folder whose files with one of the `ENDINGS` are read in the order of
        their names.

    Raises
    ------
    UserError
        If the path does not exist, is empty, or holds no file of a known kind; when its
        batches are read, also if a file is damaged as a whole. A damaged line of JSON lines
        is a record that cannot be read.
    """
    files = find_files(path, ENDINGS)
    root = path if path.is_dir() else path.parent
    return Source(
        identity=Identity(
            name="records",
            database_version=None,
            sha256=files_sha256(files),
            licence="CC-BY-4.0",
            citation="Jain et al., APL Materials 1, 011002 (2013), doi:10.1063/1.4812323",
        ),
        batches=lambda: batched_documents(
            document for file in files for document in _documents(file, file.relative_to(root).as_posix())
        ),
        n_documents=_count(files),
    )


def first_document(path: Path) -> Any:
    """The first document of JSON or JSON lines; None where there is none that can be read."""
    try:
        file = find_files(path, ENDINGS)[0]
        if ending(file, (".jsonl", ".ndjson", ".json")) is None:
            return None
        _, document, _ = next(_documents(file, file.name))
        return json.loads(document or b"null")
    except (UserError, StopIteration, ValueError, RecursionError):
        return None  # opening the snapshot says what is wrong


def _count(files: list[Path]) -> int | None:
    """Number of documents where it is written in the files themselves."""
    if any(ending(file, ENDINGS) != ".parquet" for file in files):
        return None
    try:
        return sum(pq.read_metadata(file).num_rows for file in files)
    except (pa.ArrowException, OSError):
        return None  # reading the batches says what is wrong


# What the readers raise on files that are damaged or of another kind than their name says.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    RecursionError,
    zlib.error,
    yaml.YAMLError,
    pa.ArrowException,
)


def _documents(file: Path, name: str) -> Iterator[_Document]:
    """The documents of a file; locations begin with the name that the file has in its snapshot."""
    end = ending(file, ENDINGS) or ""
    reader = {".parquet": _parquet, ".json": _json, ".yaml": _yaml, ".yml": _yaml}.get(end, _lines)
    try:
        for place, document in reader(file):
            yield f"{name}, {place}", document, None
    except _DAMAGE as error:
        message = " ".join(str(error).split())
        raise UserError(f"{file}: damaged or not {end[1:]} ({message:.200}); fetch it again") from error


def _dump(value: Any) -> bytes:
    # The standard library's writer keeps infinities, which are to be seen for what they are.
    return json.dumps(value, default=str).encode()


def _parquet(file: Path) -> Iterator[_Placed]:
    row = 0
    for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
        for document in batch.to_pylist():
            yield f"row {row}", _dump(document)
            row += 1


def _lines(file: Path) -> Iterator[_Placed]:
    with open_file(file) as handle:
        for number, line in enumerate(handle, start=1):
            if line.strip():
                yield f"line {number}", line


def _yaml(file: Path) -> Iterator[_Placed]:
    with open_file(file) as handle:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        entry = 0
        for value in yaml.load_all(handle, Loader=loader):
            for document in value if isinstance(value, list) else [value]:
                yield f"entry {entry}", _dump(_text_keys(document))
                entry += 1


def _text_keys(value: Any) -> Any:
    """The same with keys as text: YAML has dates and numbers as keys, JSON has not."""
    if isinstance(value, dict):
        return {str(key): _text_keys(entry) for key, entry in value.items()}
    return [_text_keys(entry) for entry in value] if isinstance(value, list) else value


def _json(file: Path) -> Iterator[_Placed]:
    """One document, an object with a list of them under ``data``, or a list, which is streamed."""
    with open_file(file) as raw:
        first = raw.read(1)
        while first.isspace():
            first = raw.read(1)
        if first == b"[":
            for entry, document in enumerate(_elements(raw)):
                yield f"entry {entry}", document
            return
        whole = json.loads(first + raw.read())
    documents = whole["data"] if isinstance(whole, dict) and isinstance(whole.get("data"), list) else [whole]
    for entry, document in enumerate(documents):
        yield f"entry {entry}", _dump(document)


def _elements(raw: IO[bytes]) -> Iterator[bytes]:
    """The elements of a JSON list whose opening bracket has been read, one by one."""
    decoder = json.JSONDecoder()
    text, at_end = "", False
    pending = b""
    while True:
        text = text.lstrip(" \t\r\n,")
        if text.startswith("]"):
            return
        try:
            value, stop = decoder.raw_decode(text)
            # A number could go on in the next chunk; documents, lists and strings end by themselves.
            if at_end or isinstance(value, dict | list | str):
                yield _dump(value)
                text = text[stop:]
                continue
        except json.JSONDecodeError:
            if at_end:
                raise
        chunk = raw.read(max(_CHUNK, len(text)))
        at_end = not chunk
        pending += chunk
        piece, pending = _decode(pending, at_end)
        text += piece
        if at_end and not text.strip():
            raise EOFError("the list does not end")


def _decode(pending: bytes, at_end: bool) -> tuple[str, bytes]:
    """Decode all but the bytes of a character that is cut at the end of a chunk."""
    for cut in range(4):
        try:
            return pending[: len(pending) - cut].decode("utf-8"), pending[len(pending) - cut :]
        except UnicodeDecodeError:
            if at_end or cut == 3:
                raise
    raise AssertionError
