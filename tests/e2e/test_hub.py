"""Adapters from a hub: private, gated, moved, unreachable."""

from e2e.conftest import TOKEN_SECRET, World, a_hub_adapter, a_token, an_adapter
from e2e.test_live_change import serves
from lora_api import labels

CREDENTIALS = {"credentialsRef": {"name": TOKEN_SECRET}}


def test_a_private_adapter_says_what_it_needs_and_is_served_as_soon_as_the_token_is_there(clean: World) -> None:
    repo = clean.hub.repo("team/private")
    repo.token = "let-me-in"
    repo.commit(clean.folder / "adapters" / "a")
    clean.apply(a_hub_adapter("private", "team/private"))
    clean.until("the refusal", lambda: clean.condition("private", "Fetched").get("reason") == "Unauthorized")
    assert "credentialsRef" in clean.condition("private", "Fetched")["message"]

    clean.apply(a_token("let-me-in"))
    clean.apply(a_hub_adapter("private", "team/private", **CREDENTIALS))
    # the kubelet brings a new Secret into running pods within two minutes
    clean.until("the token to arrive", lambda: clean.condition("private", "Ready").get("status") == "True", 180)
    serves(clean, "private", ("a", 1.0))


def test_a_secret_that_the_model_does_not_list_is_named_with_what_to_add(clean: World) -> None:
    clean.apply(a_hub_adapter("unlisted", "team/any", credentialsRef={"name": "other"}))
    clean.until("the refusal", lambda: clean.condition("unlisted", "Accepted").get("status") == "False")
    refusal = clean.condition("unlisted", "Accepted")
    assert refusal["reason"] == "CredentialsNotMounted"
    assert "spec.credentials" in refusal["message"]


def test_a_branch_is_pinned_to_its_commit_and_a_moved_one_is_noticed_only_when_asked(clean: World) -> None:
    repo = clean.hub.repo("team/moving")
    first = repo.commit(clean.folder / "adapters" / "a")
    clean.apply(a_hub_adapter("moving", "team/moving"))
    clean.ready("moving")
    status = clean.get("loraadapter", "moving")["status"]
    assert status["resolvedSource"]["huggingFace"]["revision"] == first

    repo.commit(clean.folder / "adapters" / "b")
    clean.patch("moving", {"weight": 0.5})
    clean.ready("moving")
    serves(clean, "moving", ("a", 0.5))

    clean.kubectl("annotate", "loraadapter", "moving", f"{labels.REFRESH}=now")
    clean.until("the new commit", lambda: clean.get("loraadapter", "moving")["status"]["digest"] != status["digest"])
    clean.ready("moving")
    serves(clean, "moving", ("b", 0.5))


def test_an_unreachable_hub_is_said_and_served_adapters_stay(clean: World) -> None:
    repo = clean.hub.repo("team/here")
    repo.commit(clean.folder / "adapters" / "a")
    clean.apply(a_hub_adapter("here", "team/here"))
    clean.ready("here")
    clean.hub.fail_with = 503
    try:
        clean.apply(a_hub_adapter("late", "team/here", huggingFace={"repo": "team/here", "revision": "v2"}))
        clean.until("the refusal", lambda: clean.condition("late", "Fetched").get("reason") == "SourceUnreachable")
        clean.patch("here", {"weight": 0.5})
        clean.ready("here")
        serves(clean, "here", ("a", 0.5))
    finally:
        clean.hub.fail_with = None
    repo.commit(clean.folder / "adapters" / "b", branch="v2")
    clean.ready("late")
    serves(clean, "late", ("b", 1.0))


def test_a_pinned_digest_refuses_other_bytes_and_accepts_the_right_ones(clean: World) -> None:
    clean.apply(an_adapter("right", "a"))
    clean.ready("right")
    digest = clean.get("loraadapter", "right")["status"]["digest"]
    clean.apply(an_adapter("pinned", "b", digest=digest))
    clean.until("the refusal", lambda: clean.condition("pinned", "Fetched").get("reason") == "DigestMismatch")
    clean.apply(an_adapter("pinned", "a", digest=digest))
    clean.ready("pinned")
