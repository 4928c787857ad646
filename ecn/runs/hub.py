"""Runs on the Hugging Face Hub: a model repository holds one, as ``ecn export`` writes it.

The client, its login and its errors are those of `mpclean.release.hub`.
"""

from __future__ import annotations

from pathlib import Path

from ecn.runs.checkpoint import CONFIG, WEIGHTS, load_config
from ecn.runs.export import FILES
from mpclean.errors import UserError
from mpclean.release.hub import connect

_KIND = "model"


def push(folder: Path, repo: str, private: bool = False) -> str:
    """Send an exported run, as one commit.

    Parameters
    ----------
    folder
        As `ecn.runs.export.export` wrote it.
    repo
        ``org/name`` of the model on the Hub; made where there is none.
    private
        Whether a repository that is made is private.

    Returns
    -------
    The commit, hexadecimal. What is there already as it is, is not sent again.

    Raises
    ------
    UserError
        If the repository holds something else, or the Hub refuses or cannot be reached.
    """
    with connect(repo, _KIND) as api:
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            there = set(api.list_repo_files(repo, repo_type=_KIND))
        except RepositoryNotFoundError:
            # None leaves it to the default of the organisation, which may be private.
            api.create_repo(repo, repo_type=_KIND, private=private or None)
            there = set()
        if others := sorted(there - {".gitattributes", *FILES}):
            raise UserError(
                f"{repo}: holds files that do not belong to a run ({others[0]}); choose another repository"
            )
        return str(
            api.upload_folder(
                repo_id=repo,
                repo_type=_KIND,
                folder_path=folder,
                allow_patterns=list(FILES),
                commit_message="ecn push",
            ).oid
        )


def pull(repo: str, revision: str = "main") -> Path:
    """Bring a run from the Hub; files that were brought before are not fetched again.

    Parameters
    ----------
    repo
        ``org/name`` of the model.
    revision
        Branch, tag or commit.

    Returns
    -------
    A folder in the cache of huggingface_hub.

    Raises
    ------
    UserError
        If there is no such model or revision, it is no run, its model is code of its own, or the Hub
        cannot be asked.
    """
    with connect(repo, _KIND) as api:
        from huggingface_hub.errors import RevisionNotFoundError

        try:
            folder = Path(
                api.snapshot_download(repo, repo_type=_KIND, revision=revision, allow_patterns=list(FILES))
            )
        except RevisionNotFoundError:
            raise UserError(f"{repo}: has no revision {revision}") from None
    if not ((folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()):
        raise UserError(f"{repo}: {revision} is not a run (it has no {CONFIG} and {WEIGHTS})")
    require_named_model(folder, repo)
    return folder


def require_named_model(folder: Path, repo: str) -> None:
    """Refuse a run from elsewhere that names code of its own: to read it would be to import what it says.

    Parameters
    ----------
    folder
        Of the run.
    repo
        Where it comes from, for messages.

    Raises
    ------
    UserError
        If its model is a ``package.module:Class``.
    """
    model = load_config(folder).model
    if ":" in model:
        raise UserError(
            f"{repo}: its model is the code {model!r:.80}, which is not imported because a download says so; "
            "if you trust it, download the run and give its folder"
        )
