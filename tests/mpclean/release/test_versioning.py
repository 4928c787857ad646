"""A release that is given its next version, and is the same otherwise."""

import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import mpclean
from mpclean import UserError
from mpclean.cli import main
from mpclean.release.versioning import LEVELS, raise_version


@pytest.mark.parametrize(("level", "version"), [*zip(LEVELS, ("2.0.0", "1.1.0", "1.0.1"), strict=True)])
def test_every_file_says_the_version(small_release, tmp_path, level, version):
    path = Path(shutil.copytree(small_release.path, tmp_path / "salts"))
    done = CliRunner().invoke(main, ["bump", str(path), level], catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (0, f"{path}: {version}\n")
    opened = mpclean.open_release(path)
    assert opened.verify() == []
    assert opened.content_hash == small_release.content_hash
    assert opened.manifest.release_version == version
    card = (path / "README.md").read_text()
    assert {info["version"] for info in yaml.safe_load(card.split("---\n")[1])["dataset_info"]} == {version}
    assert f'revision="v{version}"' in card
    assert f'"version": "{version}"' in (path / "croissant.json").read_text()
    changed = {
        name for name, entry in opened.manifest.files.items() if entry != small_release.manifest.files[name]
    }
    assert changed == {"README.md", "croissant.json"}


def test_what_is_no_release(tmp_path):
    with pytest.raises(UserError, match="no such release"):
        raise_version(tmp_path / "nothing", "minor")
