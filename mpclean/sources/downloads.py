"""Published files, fetched once into a cache and known by their sha256."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pooch
from tqdm import tqdm

from mpclean.errors import UserError
from mpclean.sources.versions import Files

#: Environment variable that names the cache; without it, the operating system's place for caches.
CACHE = "MPCLEAN_CACHE"


def cache_folder() -> Path:
    """Where downloads are kept; the folder need not be there yet."""
    return Path(os.environ.get(CACHE) or pooch.os_cache("mpclean"))


def _download(url: str, output: str, _: pooch.Pooch) -> None:
    """Download a file within the limits of `mpclean.sources.network`, and say what is waited for."""
    import requests

    from mpclean.sources.network import LARGEST_ANSWER, TIMEOUT, pieces

    began = time.monotonic()
    with requests.get(url, stream=True, timeout=TIMEOUT) as response, Path(output).open("wb") as file:
        response.raise_for_status()
        total = int(response.headers.get("content-length") or 0) or None
        with tqdm(total=total, desc=f"downloading {url}", unit="B", unit_scale=True, disable=None) as bar:
            for piece in pieces(response, LARGEST_ANSWER, began):
                file.write(piece)
                bar.update(len(piece))
        if total is not None and "content-encoding" not in response.headers and file.tell() != total:
            raise OSError(f"the answer is cut off after {file.tell():,} of {total:,} bytes")


def fetch(name: str, files: Files, otherwise: str) -> Path:
    """Fetch a folder with published files; those that are there with the right hash are not downloaded.

    Parameters
    ----------
    name
        Name of the folder in the cache.
    files
        The files.
    otherwise
        What a user can do who cannot have them, for the error.

    Returns
    -------
    The folder. A file in it is whole or not there.

    Raises
    ------
    UserError
        If a file is not there and cannot be downloaded or written, or has another hash.
    """
    store = pooch.create(cache_folder() / name, files.url, registry=files.sha256)
    pooch.get_logger().setLevel("WARNING")  # an error is one line, and a build says enough of itself
    for file in files.sha256:
        try:
            store.fetch(file, downloader=_download)
        except (OSError, ValueError) as error:  # of the network, the cache, the hash
            # Where there is no connection, the error of the network names its cause at the very end.
            cause = getattr(error.args[0], "reason", error) if error.args else error
            message = " ".join(str(cause).split())
            there = ", and the one in the cache has another sha256" if (store.abspath / file).exists() else ""
            raise UserError(
                f"{store.get_url(file)}: download failed ({message:.200}){there}; put it into "
                f"{store.abspath} yourself, name another cache in {CACHE}, or {otherwise}"
            ) from error
    return store.abspath
