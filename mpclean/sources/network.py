"""What every question to a server keeps to: limits in time and size, and a key that goes to one host.

requests bounds the silence between two pieces of an answer and nothing else: a server that sends a byte
now and then, or sends for ever, holds a command or fills a disk. It takes `Authorization` from a redirect to
another host, but no header of another name, such as the `x-api-key` of the Materials Project.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ConnectionError, ContentDecodingError  # noqa: A004
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import DecodeError, ProtocolError, ReadTimeoutError
from urllib3.util import Retry

from mpclean.errors import UserError

#: Longest silence of a server, s.
TIMEOUT = 60

#: Longest time that an answer may take as a whole, s.
LONGEST_ANSWER = 600.0

#: Largest answer, unpacked, in bytes: a thousand summary documents take a tenth.
LARGEST_ANSWER = 512 << 20

#: Longest pause that a server may ask for before it is asked again, s.
LONGEST_PAUSE = 120.0

# Shorter ones are not worth a line, s.
_UNSAID = 5.0

_PIECE = 1 << 16


class Patience(Retry):
    """Ask again after a pause, which is said, and bounded where the server asks for it."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Return the pause that an answer asks for, s.

        Raises
        ------
        UserError
            If it is longer than `LONGEST_PAUSE`.
        """
        pause = super().get_retry_after(response)
        if pause is not None and pause > LONGEST_PAUSE:
            stated = (
                f"{response.headers.get('Retry-After', ''):.40}"  # urllib3 makes no more than hours of it
            )
            raise UserError(
                f"the server answers {response.status} and asks to wait {stated} s, at most "
                f"{LONGEST_PAUSE:g} s are waited here; run the command again later: it goes on where it "
                "stopped"
            )
        if pause is not None and pause > _UNSAID:
            print(f"waiting {pause:.0f} s: the server asks for it ({response.status})", file=sys.stderr)
        return pause


def pieces(response: requests.Response, largest: int, began: float) -> Iterator[bytes]:
    """Read an answer as it comes.

    Parameters
    ----------
    response
        Unread.
    largest
        Largest size, unpacked, in bytes.
    began
        When the question was asked, by `time.monotonic`.

    Raises
    ------
    UserError
        If it is larger, or takes longer than `LONGEST_ANSWER`.
    """
    address = response.url.partition("?")[0]
    size = 0
    while piece := _piece(response):
        size += len(piece)
        if size > largest:
            raise UserError(f"{address}: the answer is larger than {largest >> 20} MiB; it is not read on")
        if time.monotonic() - began > LONGEST_ANSWER:
            raise UserError(
                f"{address}: the answer takes longer than {LONGEST_ANSWER:g} s ({size:,} bytes so far); try "
                "again when the server or the network is faster"
            )
        yield piece


def _piece(response: requests.Response) -> bytes:
    """Read what is there of an answer; its errors are those that requests has for them."""
    try:
        return bytes(response.raw.read1(_PIECE, decode_content=True))
    except ProtocolError as error:
        raise ChunkedEncodingError(error) from error
    except DecodeError as error:
        raise ContentDecodingError(error) from error
    except ReadTimeoutError as error:
        raise ConnectionError(error) from error


class BoundedAdapter(HTTPAdapter):
    """Reads whole answers within the limits of `pieces`; streams are left to who asked for them."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a question and read the answer."""
        began = time.monotonic()
        stream = options.pop("stream", False)
        response = super().send(request, True, *args, **options)
        if not stream:
            try:
                response._content = b"".join(pieces(response, LARGEST_ANSWER, began))
            finally:
                response.close()
            response._content_consumed = True  # type: ignore[attr-defined]
        return response


def stay_on_host(response: requests.Response, **_options: Any) -> None:
    """Refuse an answer that sends the question, and the key in its head, to another host.

    Raises
    ------
    UserError
        If it does, or leaves TLS.
    """
    if not response.is_redirect:
        return
    here = urlsplit(response.url)
    there = urlsplit(urljoin(response.url, response.headers["location"]))
    if (there.scheme, there.netloc) not in ((here.scheme, here.netloc), ("https", here.netloc)):
        raise UserError(
            f"{here.scheme}://{here.netloc}: sends on to another host, {there.scheme}://{there.netloc}, "
            "which the API key is not given to; see that MP_API_ENDPOINT is right"
        )
