"""The Materials Project's own client, asked with patience.

mp-api gives up on a server that fails for a moment, has no time-out on its heartbeat, and
raises what a user cannot read. Here every question has a time-out and is asked again where
that helps, and what stays wrong is one line. The key goes into the header of the requests
and nowhere else.
"""

from __future__ import annotations

import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from mpclean.errors import UserError
from mpclean.sources.network import TIMEOUT, BoundedAdapter, Patience, stay_on_host

try:
    import pyarrow as pa
    import requests
    from deltalake import DeltaTable, QueryBuilder
    from mp_api.client.core.exceptions import MPRestError
    from mp_api.client.core.utils import validate_api_key, validate_endpoint
    from mp_api.client.routes.materials.summary import SummaryRester
    from mp_api.client.routes.materials.thermo import ThermoRester
    from requests.exceptions import ChunkedEncodingError, ContentDecodingError, RequestException
except ImportError as error:
    raise UserError(
        f"the source materials-project needs the client of the Materials Project ({error.name} is not "
        "installed): pip install 'mpclean[materials-project]'"
    ) from error

#: How often a question is asked again, and the unit of the growing pauses, s. A server that names
#: a pause itself (Retry-After) gets it.
RETRIES = 4
BACKOFF = 1.0

#: Records in a page, the most that the server gives.
PAGE_SIZE = 1000

# Such as 2025.09.25; nothing that leads out of a folder.
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}")

_AGAIN = "run the command again: it goes on where it stopped"
_KEY = "get one at https://next-gen.materialsproject.org/api and put it into MP_API_KEY"
_REFUSALS = {
    401: f"the API key is missing or wrong; {_KEY}",
    403: f"the API key is refused; {_KEY}",
    404: "no such address; see that MP_API_ENDPOINT is right and mp-api is new",
    429: f"too many requests; wait, then {_AGAIN}",
}

#: What the client takes as a sign to ask for fewer ids at a time, where it asked for some.
_TOO_LONG = (414, 422)

#: What the client raises over an answer that is no JSON, or JSON of another shape.
_SHAPE = (ValueError, KeyError, TypeError, AttributeError)

_Answer = TypeVar("_Answer")


class _Summary(SummaryRester):
    # The client would derive the list anew, for every field of every page: seconds a page.
    available_fields: ClassVar = list(SummaryRester.document_model.model_fields)


class _Thermo(ThermoRester):
    available_fields: ClassVar = list(ThermoRester.document_model.model_fields)


class Client:
    """Asks the Materials Project.

    The key comes from ``MP_API_KEY`` or pymatgen's settings, the address from
    ``MP_API_ENDPOINT``, as mp-api reads them.

    Raises
    ------
    UserError
        If there is no key, or none that could be one; in every method, if the server does
        not answer as it should.
    """

    def __init__(self) -> None:
        self.endpoint: str = validate_endpoint(None)
        try:
            with _silence():
                key = validate_api_key()
        except MPRestError as error:
            raise UserError(f"invalid API key: expected 32 characters; {_KEY}") from error
        if not key:
            raise UserError(f"the Materials Project wants an API key; {_KEY}")
        self._key: str = key
        self._session = _session()

    def database_version(self) -> str:
        """Ask for the database version that is served now."""

        def heartbeat() -> str:
            url = f"{self.endpoint}heartbeat"
            return str(self._session.get(url, timeout=TIMEOUT).json()["db_version"])

        served = self._ask(heartbeat)
        if not _VERSION.fullmatch(served):  # it names a folder
            raise UserError(
                f"{self.endpoint}: states the version {served!r:.80}, which is none; see that "
                "MP_API_ENDPOINT is right"
            )
        return served

    def count(self, deprecated: bool) -> int:
        """Ask for the number of materials that are deprecated, or of those that are not."""
        return self._ask(lambda: self._rester(_Summary).count({"deprecated": deprecated}))

    def summary(self, fields: Sequence[str], **criteria: Any) -> list[dict[str, Any]]:
        """One page of summary documents, in the order of their ids.

        Parameters
        ----------
        fields
            Fields wanted, with dots into nested ones.
        criteria
            Of mp-api's ``materials.summary.search``.
        """
        documents = self._ask(
            lambda: self._rester(_Summary).search(
                fields=list(fields), num_chunks=1, chunk_size=PAGE_SIZE, **criteria
            )
        )
        return sorted(documents, key=lambda document: document["material_id"])

    def thermo(self, fields: Sequence[str], ids: Sequence[str], hull: str) -> list[dict[str, Any]]:
        """Thermo documents of at most `PAGE_SIZE` materials, in the order of their ids.

        Parameters
        ----------
        fields
            Fields wanted, with dots into nested ones.
        ids
            Materials; one without an energy on this hull has no document.
        hull
            Thermo type: which functionals the hull is made of.
        """
        if not ids:
            return []  # the client would take no ids for all of them
        documents = self._ask(
            lambda: self._rester(_Thermo).search(
                material_ids=list(ids), thermo_types=[hull], fields=list(fields)
            )
        )
        return sorted(documents, key=lambda document: document["material_id"])

    def table(self, folder: Path, fields: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Download the whole summary collection at once, in the order of ids.

        Parameters
        ----------
        folder
            An empty folder for the table.
        fields
            Columns wanted; the download has all.

        Returns
        -------
        Batches with these columns, and ``version``, the version that the table was built for.
        """
        try:
            self._ask(lambda: self._rester(_Summary, local_dataset_cache=folder).search())
        except UserError:
            raise
        except Exception as error:  # the reader of tables raises nothing more special
            raise UserError(
                f"{self.endpoint}: the download of the table failed ({self._one_line(error)}); run the "
                "command again, or leave out --bulk"
            ) from error
        (log,) = folder.rglob("_delta_log")
        query = QueryBuilder().register("summary", DeltaTable(log.parent))
        columns = ", ".join(f'"{field}"' for field in dict.fromkeys(field.split(".")[0] for field in fields))
        for batch in query.execute(f"SELECT version, {columns} FROM summary ORDER BY material_id"):  # noqa: S608
            yield pa.record_batch(batch)

    def _rester(self, kind: type, **options: Any) -> Any:
        return kind(
            api_key=self._key,
            session=self._session,
            use_document_model=False,
            mute_progress_bars=True,
            timeout=TIMEOUT,
            **options,
        )

    def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        """Ask; an answer that breaks off or is no JSON is asked for again."""
        for left in reversed(range(RETRIES)):
            try:
                with _silence():
                    return question()
            except (MPRestError, RequestException, *_SHAPE) as error:
                # The session itself has asked again where there was no answer at all.
                cause = error if isinstance(error, RequestException) else error.__context__
                cut_off = isinstance(cause, ChunkedEncodingError | ContentDecodingError)
                broken = cut_off or isinstance(error, _SHAPE)
                if broken and left:
                    time.sleep(BACKOFF)
                    continue
                what = "the answer is cut off or no JSON" if broken else self._one_line(error)
                raise UserError(f"{self.endpoint}: {what}; {_AGAIN}") from error
        raise AssertionError

    def _one_line(self, error: Exception) -> str:
        return f"{' '.join(str(error).replace(self._key, '***').split()):.200}"


def _session() -> requests.Session:
    session = requests.Session()
    retry = Patience(
        total=RETRIES,
        backoff_factor=BACKOFF,
        status_forcelist=(429, 500, 502, 503, 504),
        respect_retry_after_header=True,
        raise_on_status=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, BoundedAdapter(max_retries=retry))
    session.hooks["response"] += [stay_on_host, _refuse]
    return session


def _refuse(response: requests.Response, **_options: Any) -> None:
    status = response.status_code
    address, _, parameters = response.url.partition("?")
    too_long = status in _TOO_LONG and "material_ids=" in parameters
    if status >= 400 and not too_long:
        raise UserError(f"{address}: {status}: {_REFUSALS.get(status, f'{response.reason}; {_AGAIN}')}")


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the client's asides to itself; what matters is raised."""
    logger = logging.getLogger("mp_api.client.core.client")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
