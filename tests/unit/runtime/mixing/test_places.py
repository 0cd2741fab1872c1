"""Where the experts of a trained mixture are, relative to it."""

import pytest

from lora_runtime.mixing.places import digest_over, folder_in
from support.stores import a_source


@pytest.mark.parametrize(
    ("source", "expert"),
    [
        (a_source("volume", name="v", path="a/b/"), a_source("volume", name="v", path="a/b/2")),
        (a_source("volume", name="v"), a_source("volume", name="v", path="2")),
        (
            a_source("huggingFace", repo="team/x", revision="c0ffee"),
            a_source("huggingFace", repo="team/x", revision="c0ffee", subfolder="2"),
        ),
        (a_source("s3", secret="team", bucket="bucket", prefix="x"), a_source("s3", secret="team", bucket="bucket", prefix="x/2")),
        (a_source("http", url="https://host/x/"), a_source("http", url="https://host/x/2")),
    ],
)  # fmt: skip
def test_an_expert_is_in_a_folder_inside_at_the_same_place(source: object, expert: object) -> None:
    assert folder_in(source, "2") == expert  # type: ignore[arg-type]


def test_what_pins_the_classifier_does_not_pin_an_expert() -> None:
    pinned = a_source("http", url="https://host/x", sha256="a" * 64, etags={"tensors": "e1"})
    found = folder_in(pinned, "0")
    assert found is not None
    assert found.http is not None
    assert (found.http.sha256, found.http.etags) == (None, None)


def test_an_artifact_has_no_folders() -> None:
    assert folder_in(a_source("oci", reference="host/x:1"), "0") is None


def test_the_order_of_experts_is_in_the_digest() -> None:
    assert digest_over(["a", "b"]) != digest_over(["b", "a"])
    assert digest_over(["a", "b"]).startswith("sha256:")
