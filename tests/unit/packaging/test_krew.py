"""What krew would install, by the rules of its manifests."""

import hashlib
import io
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from krew_package.__main__ import main
from krew_package.package import ARCHIVE, MANIFEST

pytestmark = pytest.mark.slow

URI = f"https://releases.example.com/v0.1.0/{ARCHIVE}"


def test_the_manifest_names_the_archive_and_the_archive_holds_what_runs(tmp_path: Path) -> None:
    assert main([str(tmp_path), URI]) == 0

    plugin = yaml.safe_load((tmp_path / MANIFEST).read_text())
    assert (plugin["apiVersion"], plugin["kind"]) == ("krew.googlecontainertools.github.com/v1alpha2", "Plugin")
    assert plugin["metadata"]["name"] == "lora"
    assert re.fullmatch(r"v\d+\.\d+\.\d+", plugin["spec"]["version"])
    assert len(plugin["spec"]["shortDescription"]) <= 50
    [platform] = plugin["spec"]["platforms"]
    archive = (tmp_path / ARCHIVE).read_bytes()
    assert (platform["uri"], platform["sha256"]) == (URI, hashlib.sha256(archive).hexdigest())

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = {member.name: member for member in tar.getmembers()}
        launcher = members[platform["bin"]]
        assert launcher.mode & 0o111
        [wheel] = [name for name in members if name.endswith(".whl")]
        words = tar.extractfile(launcher)
        packed = tar.extractfile(wheel)
        assert words is not None
        assert packed is not None
        assert f"$here/{wheel}" in words.read().decode()
        with zipfile.ZipFile(io.BytesIO(packed.read())) as inside:
            [entry_points] = [name for name in inside.namelist() if name.endswith("entry_points.txt")]
            assert "kubectl-lora = lora_cli.app:main" in inside.read(entry_points).decode()
            assert "lora_cli/app.py" in inside.namelist()


def test_without_a_place_there_is_no_manifest(tmp_path: Path) -> None:
    assert main([str(tmp_path), "http://example.com/x"]) == 2
    assert list(tmp_path.iterdir()) == []
