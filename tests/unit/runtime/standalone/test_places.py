"""What a person types for an adapter or a base model, and what it means."""

from pathlib import Path
from typing import Any

import pytest

from lora_api import places as shared
from lora_runtime.standalone import places

HUB = {"huggingFace": {"repo": "team/pirate", "revision": "main"}}


def nothing_is_here(path: Path) -> bool:
    return False


def source(text: str) -> dict[str, Any]:
    found = places.adapter(text, nothing_is_here).spec.source
    assert found is not None
    return found.model_dump(mode="json", by_alias=True, exclude_none=True)


@pytest.mark.parametrize(("text", "expected"), [
    ("x=hf://team/pirate", HUB),
    ("x=team/pirate", HUB),
    ("x=hf://team/pirate@v3", {"huggingFace": {"repo": "team/pirate", "revision": "v3"}}),
    ("x=hf://team/pirate/a/b@v3", {"huggingFace": {"repo": "team/pirate", "revision": "v3", "subfolder": "a/b"}}),
    ("x=s3://bucket/a/b/", {"s3": {"bucket": "bucket", "prefix": "a/b"}}),
    ("x=gs://bucket", {"gcs": {"bucket": "bucket", "prefix": ""}}),
    ("x=oci://ghcr.io/team/pirate:v3", {"oci": {"reference": "ghcr.io/team/pirate:v3", "plainHTTP": False}}),
    ("x=https://example.com/pirate", {"http": {"url": "https://example.com/pirate"}}),
    ("x=s3://bucket/a%20b?endpoint=http://minio:9000&region=eu", {
        "s3": {"bucket": "bucket", "prefix": "a b", "endpoint": "http://minio:9000", "region": "eu"},
    }),
    ("x=https://example.com/pirate#sha256=" + 64 * "a", {"http": {"url": "https://example.com/pirate", "sha256": 64 * "a"}}),
    ("x=oci+http://registry:5000/pirate:v3", {"oci": {"reference": "registry:5000/pirate:v3", "plainHTTP": True}}),
    ("x=/data/pirate", {"volume": {"name": "disk", "path": "data/pirate"}}),
    ("x=/data/../pirate", {"volume": {"name": "disk", "path": "pirate"}}),
])  # fmt: skip
def test_a_place_is_what_its_scheme_says_a_path_or_a_repository(text: str, expected: dict[str, Any]) -> None:
    assert source(text) == expected


def test_what_is_there_wins_over_a_repository_of_that_name() -> None:
    found = places.adapter("x=team/pirate", lambda path: True).spec.source
    assert found is not None
    assert found.volume is not None
    assert found.volume.path == str(Path("team/pirate").absolute()).lstrip("/")


@pytest.mark.parametrize(("text", "weight", "described"), [
    ("x=/data/pirate@0.7", 0.7, "volume disk/data/pirate"),
    ("x=/data/pirate@-2", -2.0, "volume disk/data/pirate"),
    ("x=/data/pirate", 1.0, "volume disk/data/pirate"),
    ("x=hf://team/pirate@v3@0.5", 0.5, "team/pirate@v3"),
    ("x=hf://team/pirate@1.0@1", 1.0, "team/pirate@1.0"),
    ("x=/data/a@b", 1.0, "volume disk/data/a@b"),
])  # fmt: skip
def test_a_number_behind_the_last_at_sign_is_a_weight(text: str, weight: float, described: str) -> None:
    spec = places.adapter(text, nothing_is_here).spec
    assert spec.source is not None
    assert (spec.weight, spec.source.describe()) == (weight, described)


@pytest.mark.parametrize(("text", "name"), [
    ("pirate=/data/p", "pirate"),
    ("team/pirate=/data/p", "team/pirate"),
    ("team/pirate", "team/pirate"),
    ("hf://team/pirate/sub@v3@0.5", "team/pirate"),
    ("/data/pirate@0.5", "pirate"),
    ("/data/a=b/pirate", "pirate"),
    ("oci://ghcr.io/team/pirate:v3", "pirate"),
    ("s3://bucket/adapters/pirate", "pirate"),
])  # fmt: skip
def test_what_has_no_name_is_served_as_its_repository_or_folder_is_called(text: str, name: str) -> None:
    assert places.adapter(text, nothing_is_here).served_name == name


@pytest.mark.parametrize(("text", "says"), [
    ("x=ftp://server/pirate", "no kind of source ftp://; write hf://"),
    ("x=a/b/c", "nothing is at a/b/c, and there are no volumes; write ./a/b/c for a path, hf://owner/name"),
    ("x=pirate", "nothing is at pirate, and there are no volumes"),
    ("x=/data/pirate@11", "less than or equal to 10"),
    ("x=s3://b", "at least 3 characters"),
    ("x=s3://bucket/../pirate", "must be a path inside the bucket"),
    ("x=https://example.com/pirate?token=1", "keep secrets in the Secret"),
    ("x=volume://models/pirate", "nothing is at models/pirate, and there are no volumes; name a folder by its path"),
    ("/data/pirat!", "needs a name in front"),
    ("x=", "a place is missing"),
])  # fmt: skip
def test_what_means_nothing_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(places.Unclear, match=says):
        places.adapter(text, nothing_is_here)


def test_no_place_is_not_the_folder_that_it_is_typed_in() -> None:
    with pytest.raises(places.Unclear, match="a place is missing"):
        places.adapter("x=")


@pytest.mark.parametrize("text", ["x=adapters/pirate", "x=volume://adapters/pirate"])
def test_what_is_not_here_is_a_folder_of_a_volume(text: str) -> None:
    found = places.adapter(text, nothing_is_here, {"adapters", "others"}).spec.source
    assert found is not None
    assert found.describe() == "volume adapters/pirate"
    with pytest.raises(places.Unclear, match="no volume is called a, but adapters, others"):
        places.adapter("x=a/b/c", nothing_is_here, {"adapters", "others"})


@pytest.mark.parametrize("text", ["/x", "./x", "../x", "~/x", ".", ".."])
def test_what_begins_as_only_paths_do_is_one_whether_it_is_there_or_not(text: str) -> None:
    assert shared.is_path(text, nothing_is_here)


@pytest.mark.parametrize("text", ["x", "x/y", "x.gguf", "hf://x/y", ""])
def test_all_else_is_a_path_if_it_is_there(text: str) -> None:
    assert not shared.is_path(text, nothing_is_here)
    assert shared.is_path(text, lambda path: True) is (text in ("x", "x/y", "x.gguf"))


def test_a_base_model_comes_from_a_folder_or_from_the_hub() -> None:
    assert places.model("team/smol@v1", nothing_is_here).describe() == "team/smol@v1"
    assert places.model("/models/smol", nothing_is_here).describe() == "volume disk/models/smol"
    with pytest.raises(places.Unclear, match="from a folder or from the hub"):
        places.model("s3://bucket/smol", nothing_is_here)
