from pathlib import Path

import pytest

from lora_api.error_codes import ErrorCode
from lora_cli.clients.disk import path_of
from lora_cli.domain.changes import written
from lora_cli.domain.sources import on_disk, parse_source
from lora_cli.errors import Failed
from lora_runtime.standalone import rules

SHA = "a" * 64


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("hf://team/pirate", {"huggingFace": {"repo": "team/pirate"}}),
        ("hf://team/pirate@v3", {"huggingFace": {"repo": "team/pirate", "revision": "v3"}}),
        ("hf://pirate", {"huggingFace": {"repo": "pirate"}}),
        ("hf://team/all/a/b@refs/pr/1", {"huggingFace": {"repo": "team/all", "subfolder": "a/b", "revision": "refs/pr/1"}}),
        ("s3://bucket/pirate/v1/", {"s3": {"bucket": "bucket", "prefix": "pirate/v1"}}),
        (
            "s3://bucket/pirate?endpoint=https://minio:9000&region=eu-west-1",
            {"s3": {"bucket": "bucket", "prefix": "pirate", "endpoint": "https://minio:9000", "region": "eu-west-1"}},
        ),
        ("gs://bucket/pirate", {"gcs": {"bucket": "bucket", "prefix": "pirate"}}),
        ("https://files.example.com/pirate", {"http": {"url": "https://files.example.com/pirate"}}),
        (f"https://files.example.com/p#sha256={SHA}", {"http": {"url": "https://files.example.com/p", "sha256": SHA}}),
        ("oci://ghcr.io/team/pirate:v1", {"oci": {"reference": "ghcr.io/team/pirate:v1"}}),
        ("oci+http://registry:5000/pirate:v1", {"oci": {"reference": "registry:5000/pirate:v1", "plainHTTP": True}}),
        ("adapters/pirate/v1", {"volume": {"name": "adapters", "path": "pirate/v1"}}),
        ("volume://adapters/pirate", {"volume": {"name": "adapters", "path": "pirate"}}),
        ("adapters", {"volume": {"name": "adapters"}}),
    ],
)  # fmt: skip
def test_each_form_names_the_place_that_it_looks_like(text: str, field: object) -> None:
    assert written(parse_source(text)) == field


def test_a_secret_goes_with_the_place() -> None:
    assert written(parse_source("hf://team/pirate", "hub"))["credentialsRef"] == {"name": "hub"}


def test_what_is_here_or_written_as_a_path_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "adapters" / "pirate").mkdir(parents=True)
    (tmp_path / "pirate.gguf").touch()
    monkeypatch.chdir(tmp_path / "adapters")
    assert path_of("pirate") == tmp_path / "adapters" / "pirate"
    assert path_of("../pirate.gguf") == tmp_path / "pirate.gguf"
    assert path_of("../nothing") == tmp_path / "nothing", "who reads it says that it is not there"
    assert path_of("..") == tmp_path
    assert path_of("~nobody-of-this-name/x") == tmp_path / "adapters" / "~nobody-of-this-name" / "x"
    for text in ("nothing", "volume/folder", "hf://team/pirate", "volume://pirate", "a" * 5000, "", "\0"):
        assert path_of(text) is None


def test_a_place_on_the_disk_is_one_that_a_schema_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = path_of("../x")
    assert found is not None
    assert list(rules.of_source(on_disk(found))) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftp://host/pirate", "no kind of source ftp://"),
        ("s3://b/pirate", "s3.bucket"),
        ("s3://bucket/p?colour=red", "colour is none of the options endpoint, region"),
        ("https://host/p#md5=1", "only sha256=HEX"),
        ("UPPER/pirate", "volume.name"),
        ("oci://ghcr.io", "oci.reference"),
    ],
)
def test_what_names_no_place_is_refused_with_the_forms_that_do(text: str, why: str) -> None:
    with pytest.raises(Failed) as refused:
        parse_source(text)
    assert refused.value.code is ErrorCode.INVALID
    assert why in str(refused.value)
    assert "hf://owner/repo" in str(refused.value)
