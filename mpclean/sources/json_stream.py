"""The documents of a JSON file, one by one, as they are written.

A file may be larger than memory, and one of a few bytes may unpack to more than there is. So documents are
found by their brackets alone, a chunk at a time, and no value is made of them here: what a document says
is for `mpclean.sources.documents` to read, from the same bytes, so that a number that is an id stays as
written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from mpclean.sources.files import MAX_DOCUMENT, BoundError

_CHUNK = 1 << 20

# Whole strings, so that brackets in them are not seen; then brackets, all that follow one another at once;
# then a string that is cut.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[{]+|[\]}]+|"', re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*")

#: Most brackets that may be open at a time, which are as many as orjson reads; a crystal has a dozen.
_DEEPEST = 1024

#: Most lists, objects and texts in a document; a crystal of 2,000 atoms has some 20,000.
_MOST_PARTS = 1_000_000

#: Longest number or word, in bytes.
_LONGEST_SCALAR = 4096

_TOO_LARGE = f"a document is larger than {MAX_DOCUMENT >> 20} MiB, more than a crystal has to say"
_SCALAR = re.compile(rb"[^ \t\r\n,:\[\]{}\"]{1,5000}")


def json_documents(raw: IO[bytes]) -> Iterator[bytes]:
    """Yield the documents of a file: those of a list, of a list under ``data`` in an object, or the only one.

    Parameters
    ----------
    raw
        UTF-8.

    Raises
    ------
    ValueError
        If the brackets are those of no JSON, there is text after its end, or a document is too large.
    EOFError
        If it does not end.
    """
    stream = _Stream(raw)
    match stream.peek():
        case b"[":
            yield from stream.items()
        case b"{":
            yield from stream.members()
        case _:
            yield stream.value()
    if stream.peek():
        raise ValueError("text after the end of the document; several documents, a line each, are .jsonl")


class _Stream:
    """JSON that is read from its beginning to its end, never more than a document of it at once."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._text = b""
        self._pos = 0

    def _fill(self) -> bool:
        """Forget what was read and read on; False at the end of the file."""
        chunk = self._raw.read(_CHUNK)
        self._text = self._text[self._pos :] + chunk
        self._pos = 0
        if len(self._text) > MAX_DOCUMENT + _CHUNK:
            raise BoundError(_TOO_LARGE)
        return bool(chunk)

    def peek(self) -> bytes:
        """Return the next byte that is no space; empty at the end of the file."""
        while True:
            space = _SPACE.match(self._text, self._pos)
            self._pos = space.end() if space else self._pos
            if self._pos < len(self._text):
                return self._text[self._pos : self._pos + 1]
            if not self._fill():
                return b""

    def _skip(self, expected: bytes) -> bytes:
        """Step over one of the expected bytes, and return it."""
        found = self.peek()
        if not found:
            raise EOFError("it does not end")
        if found not in expected:
            raise ValueError(f"{found!r} where one of {expected.decode()} is expected")
        self._pos += 1
        return found

    def items(self) -> Iterator[bytes]:
        """Yield the items of a list."""
        self._skip(b"[")
        while self.peek() != b"]":
            yield self.value()
            if self.peek() != b"]":
                self._skip(b",]")
        self._skip(b"]")

    def members(self) -> Iterator[bytes]:
        """Yield the items of the list ``data`` of an object, or else the object."""
        self._skip(b"{")
        whole: list[bytes] = []
        size, has_data = 0, False
        while self.peek() != b"}":
            if self.peek() != b'"':
                raise ValueError(f"{self.peek()!r} where the name of a member is expected")
            name = self.value()
            self._skip(b":")
            if name == b'"data"' and self.peek() == b"[":
                has_data = True
                yield from self.items()
            else:
                whole.append(name + b":" + self.value())
                size += len(whole[-1])
                if size > MAX_DOCUMENT:
                    raise BoundError(_TOO_LARGE)
            if self.peek() != b"}":
                self._skip(b",}")
        self._skip(b"}")
        if not has_data:
            yield b"{" + b",".join(whole) + b"}"

    def value(self) -> bytes:
        """Return the next value as it is written."""
        first = self.peek()
        if not first:
            raise EOFError("it does not end")
        length = self._scalar() if first not in b'[{"' else self._nested()
        text = self._text[self._pos : self._pos + length]
        if length > MAX_DOCUMENT:
            raise BoundError(_TOO_LARGE)
        text.decode()  # a document in another encoding is no damage of one record
        self._pos += length
        return text

    def _scalar(self) -> int:
        """Measure a number or a word; it may go on in the next chunk."""
        while True:
            found = _SCALAR.match(self._text, self._pos)
            if found is None:
                raise ValueError(f"{self.peek()!r} where a value is expected")
            if found.end() - found.start() > _LONGEST_SCALAR:
                raise BoundError(f"a number or word of more than {_LONGEST_SCALAR:,} bytes")
            if found.end() < len(self._text) or not self._fill():
                return found.end() - found.start()

    def _nested(self) -> int:
        """Measure a list, an object or a string."""
        depth, scan = 0, 0  # from the beginning of the value
        parts = 0
        while True:
            for token in _TOKEN.finditer(self._text, self._pos + scan):
                parts += 1
                if parts > 2 * _MOST_PARTS:  # each begins and ends
                    raise BoundError(f"more than {_MOST_PARTS:,} lists, objects and texts in a document")
                begin, n = token.start() - self._pos, token.end() - token.start()
                match self._text[token.start()]:
                    case 0x5B | 0x7B:  # [ {
                        depth += n
                        if depth > _DEEPEST:
                            raise BoundError(f"more than {_DEEPEST:,} lists and objects within one another")
                    case 0x5D | 0x7D:  # ] }
                        if n >= depth:
                            return begin + depth
                        depth -= n
                    case _:
                        if n == 1:  # a string that goes on in the next chunk
                            scan = begin
                            break
                scan = begin + n
                if depth == 0:
                    return scan
            if not self._fill():
                raise EOFError("it does not end")
