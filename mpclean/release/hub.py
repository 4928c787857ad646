"""The door to the Hugging Face Hub: send a release there, bring one back.

A release becomes one commit of a data set repository, under the tag ``v<release version>``. What
is sent is decided before anything is (`plan_push`), and then sent as decided (`send`); a tag that
is set never changes. What comes back (`pull`) is verified like any release.

The token and the address of the Hub are those of huggingface_hub: ``hf auth login`` or
``HF_TOKEN``, and ``HF_ENDPOINT``.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mpclean.errors import UserError
from mpclean.release import Release, open_release
from mpclean.release.atomic import move_into_place, require_free, staging_folder
from mpclean.release.hashing import file_sha256
from mpclean.release.layout import CARD, MANIFEST
from mpclean.release.manifest import Manifest, parse_manifest

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

_KIND = "dataset"

#: What the kinds of repositories are called in messages.
_CALLED = {"dataset": "data set", "model": "model"}

#: What to do about an answer of the Hub, by its HTTP status.
_ADVICE = {
    401: "log in with `hf auth login`, or set HF_TOKEN to a valid token",
    403: "this login may not do that; use one with write access, or another name",
    404: "no such {kind}, or one that this login may not see; check the name, or `hf auth login`",
    409: "it was made in the meantime; run the command again",
    412: "it was changed in the meantime; run the command again",
    429: "too many requests; run the command again in a few minutes",
}


@dataclass(frozen=True)
class Push:
    """What a push will do.

    Attributes
    ----------
    release
        The release, verified.
    repo
        ``org/name`` of the data set on the Hub.
    private
        Whether a repository that is made is private.
    head
        Commit that is built on; None where the repository is to be made.
    published
        Whether the tag is there already with the same content and splits, and nothing is to be done.
    send
        Files that the repository does not hold as they are, with their sizes in bytes.
    remove
        Files of an earlier release that this one does not have.
    """

    release: Release
    repo: str
    private: bool
    head: str | None = None
    published: bool = False
    send: dict[str, int] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        """The revision that the release gets, as in ``v1.0.0``."""
        return f"v{self.release.manifest.release_version}"


def plan_push(path: str | Path, repo: str, private: bool = False) -> Push:
    """Decide what a push will send; the Hub is asked, and nothing is written there.

    Parameters
    ----------
    path
        Folder of the release.
    repo
        ``org/name`` of the data set on the Hub.
    private
        Whether the repository is to be private.

    Raises
    ------
    UserError
        If the release is not intact, the tag is there with other content, the repository holds
        something else or is public against the wish, or the Hub cannot be asked.
    """
    release = open_release(path)
    if problems := release.verify():
        raise UserError(
            f"{path}: not sent, {len(problems)} files or tables are not what they should be ({problems[0]}); "
            "build or fetch the release again"
        )
    with connect(repo) as api:
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            info = api.dataset_info(repo)
        except RepositoryNotFoundError:
            return Push(release, repo, private, send=_differing(release, {}))
        if private and not info.private:
            raise UserError(f"{repo}: is a public data set; leave out --private, or give another name")
        push = Push(release, repo, private, head := str(info.sha))
        if push.tag in _tags(api, repo):
            if differs := _differs(release.manifest, _manifest(api, repo, push.tag)):
                raise UserError(
                    f"{repo}: {push.tag} is published with {differs} than {path} has; a published version "
                    f"never changes, so give this one its own: mpclean bump {path} minor (mpclean diff says "
                    "which level)"
                )
            return replace(push, published=True)
        there = _files(api, repo, head)
        if MANIFEST in there:
            earlier = set(_manifest(api, repo, head).files)
        elif there.keys() <= {".gitattributes", CARD}:
            earlier = set()  # as the Hub makes it
        else:
            raise UserError(f"{repo}: holds files that are no release; give another name")
        return replace(
            push,
            send=_differing(release, there),
            remove=tuple(sorted((earlier & there.keys()) - release.manifest.files.keys())),
        )


def send(push: Push) -> str:
    """Send what was decided: one commit, and then its tag.

    Returns
    -------
    The commit, hexadecimal.

    Raises
    ------
    UserError
        If the Hub refuses, cannot be reached, or was changed in the meantime. There is no tag
        then; sending again goes on from there.
    """
    manifest = push.release.manifest
    with connect(push.repo) as api:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        if push.head is None:
            # None leaves it to the default of the organisation, which may be private.
            api.create_repo(push.repo, repo_type=_KIND, private=push.private or None)
        commit = str(push.head)
        if push.send or push.remove:
            commit = api.create_commit(
                push.repo,
                [
                    *(CommitOperationAdd(name, push.release.path / name) for name in push.send),
                    *(CommitOperationDelete(name) for name in push.remove),
                ],
                commit_message=f"{manifest.name} {manifest.release_version}",
                repo_type=_KIND,
                parent_commit=push.head,
            ).oid
        if differing := _differing(push.release, _files(api, push.repo, commit)):
            raise UserError(
                f"{push.repo}: holds other bytes than were sent in {next(iter(differing))}, so {push.tag} "
                "was not set; run the command again"
            )
        api.create_tag(
            push.repo,
            tag=push.tag,
            tag_message=f"content hash {push.release.content_hash}",
            revision=commit,
            repo_type=_KIND,
        )
    return commit


def push(path: str | Path, repo: str, private: bool = False) -> str:
    """Send a release to the Hub, with its version as the tag; the command ``mpclean push``.

    Parameters
    ----------
    path, repo, private
        As for `plan_push`.

    Returns
    -------
    The commit, hexadecimal; where the same content is published already, the one that the repository is at.

    Raises
    ------
    UserError
        As `plan_push` and `send`.

    Examples
    --------
    >>> mpclean.push("releases/demo", "org/demo")  # doctest: +SKIP
    '9f3c...'
    """
    plan = plan_push(path, repo, private)
    return str(plan.head) if plan.published else send(plan)


def pull(repo: str, revision: str = "main", out: str | Path | None = None, force: bool = False) -> Release:
    """Bring a release back from the Hub; the command ``mpclean pull``.

    Parameters
    ----------
    repo
        ``org/name`` of the data set on the Hub.
    revision
        Its tag, as in ``v1.0.0``, or branch, or commit.
    out
        Folder of the release; ``releases/<name>`` by default.
    force
        Replace a release that is already there, once the new one is whole.

    Raises
    ------
    UserError
        If there is no such revision, it holds no release or another one than its manifest says,
        the folder is taken, or the Hub cannot be asked. Nothing is written then.
    """
    target = Path("releases") / repo.rpartition("/")[2] if out is None else Path(out)
    with connect(repo) as api, staging_folder(target) as folder:
        from huggingface_hub.errors import RevisionNotFoundError

        require_free(target, force)
        try:
            commit = str(api.dataset_info(repo, revision=revision).sha)
        except RevisionNotFoundError:
            known = ", ".join(["main", *_tags(api, repo)])
            raise UserError(f"{repo}: has no revision {revision}; it has {known}") from None
        files = _manifest(api, repo, revision).files
        # Other files of the repository, such as .gitattributes, are no part of the release.
        api.snapshot_download(
            repo,
            repo_type=_KIND,
            revision=commit,
            local_dir=folder / "release",
            allow_patterns=[MANIFEST, *files],
        )
        shutil.rmtree(folder / "release" / ".cache")  # notes of the client
        if problems := open_release(folder / "release").verify():
            raise UserError(
                f"{repo}: {len(problems)} files of {revision} differ from its manifest ({problems[0]}), so "
                "nothing was written; pull it again, or another revision"
            )
        require_free(target, force)  # others may have taken it meanwhile
        move_into_place(folder / "release", target, replace=force)
    return open_release(target)


def _differs(manifest: Manifest, published: Manifest) -> str | None:
    """Say what a published release has otherwise, in words; None where both hold the same."""
    if manifest.content_hash != published.content_hash:
        return f"other content (hash {published.content_hash[:16]}, not {manifest.content_hash[:16]})"
    here, there = (
        {name: entry.content_hash for name, entry in each.more_splits.items()}
        for each in (manifest, published)
    )
    if differing := sorted(name for name in here | there if here.get(name) != there.get(name)):
        return f"other splits ({', '.join(differing)})"
    # What the libraries of a build make of equal rows may differ in its bytes.
    if differing := sorted(_unhashed(manifest) ^ _unhashed(published)):
        return f"other files ({', '.join(differing)})"
    return None


def _unhashed(manifest: Manifest) -> set[str]:
    """Names of the files that no content hash covers, as those of a report."""
    return {name for name in manifest.files if not name.startswith(("data/", "splits/", "ledger/"))}


def _tags(api: HfApi, repo: str) -> list[str]:
    return [ref.name for ref in api.list_repo_refs(repo, repo_type=_KIND).tags]


def _manifest(api: HfApi, repo: str, revision: str) -> Manifest:
    from huggingface_hub.errors import RemoteEntryNotFoundError

    try:
        path = api.hf_hub_download(repo, MANIFEST, repo_type=_KIND, revision=revision)
    except RemoteEntryNotFoundError:
        raise UserError(f"{repo}: {revision} is no release, it has no {MANIFEST}") from None
    return parse_manifest(Path(path).read_bytes(), f"{repo}, {revision}")


def _files(api: HfApi, repo: str, commit: str) -> dict[str, RepoFile]:
    from huggingface_hub.hf_api import RepoFile

    entries = api.list_repo_tree(repo, recursive=True, revision=commit, repo_type=_KIND)
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def _differing(release: Release, there: dict[str, RepoFile]) -> dict[str, int]:
    """Files of a release that a repository does not hold as they are, with their sizes."""
    return {
        name: (release.path / name).stat().st_size
        for name in sorted({MANIFEST, *release.manifest.files})
        if name not in there or not _same(release.path / name, there[name])
    }


def _same(path: Path, there: RepoFile) -> bool:
    from huggingface_hub.utils.sha import git_hash

    if there.lfs is not None:
        return there.lfs.sha256 == file_sha256(path)
    return there.blob_id == git_hash(path.read_bytes())


@contextmanager
def connect(repo: str, kind: str = _KIND) -> Iterator[HfApi]:
    """Make a client of the Hub, whose errors become one line each.

    Parameters
    ----------
    repo
        ``org/name`` of the repository that it is for.
    kind
        What that is: "dataset" or "model".

    Raises
    ------
    UserError
        For every refusal of the Hub, and for every failure on the way there.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HTTPError
        from huggingface_hub.utils import disable_progress_bars
    except ImportError:
        raise UserError("the Hub needs huggingface_hub: pip install 'mpclean[hub]'") from None
    if repo.count("/") != 1:
        raise UserError(f"{repo}: not the name of a {_CALLED[kind]} on the Hub; give org/name")
    if not sys.stderr.isatty():
        disable_progress_bars()  # as ours are
    try:
        yield HfApi(library_name="mpclean")
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # a file of ours
        raise UserError(f"{repo}: {_explain(error, _CALLED[kind])}") from error


def _explain(error: BaseException, kind: str) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    # Transfers of files say why they failed in the error behind theirs.
    while isinstance(error, (LocalEntryNotFoundError, RuntimeError)) and error.__cause__ is not None:
        error = error.__cause__
    said = next((line for line in str(error).splitlines() if line), type(error).__name__)
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so the Hub is not asked; unset it"
    if isinstance(error, HFValidationError):
        return f"not the name of a {kind} on the Hub; give org/name"
    if isinstance(error, HfHubHTTPError):
        # To those who are not logged in, the Hub says 401 of what does not exist.
        status = 404 if isinstance(error, RepositoryNotFoundError) else error.response.status_code
        later = "the Hub has a problem; run the command again later" if status >= 500 else said
        advice = _ADVICE[status].format(kind=kind) if status in _ADVICE else later
        return f"the Hub answers {status}: {advice}"
    if isinstance(error, HTTPError):
        return f"cannot reach {constants.ENDPOINT} ({said}); check the network"
    return f"the Hub's answer cannot be used ({said:.150}); run the command again"
