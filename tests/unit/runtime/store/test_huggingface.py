"""The real client against a hub on loopback: pinning, credentials, resuming, and what errors say."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest
from huggingface_hub.errors import OfflineModeIsEnabled

from lora_api.v1alpha1.common import HuggingFaceSource
from lora_api.v1alpha1.conditions import AdapterCondition, Reason
from lora_runtime.adapters.errors import ADAPTER_FILES, Refused
from lora_runtime.store.content import ContentStore
from lora_runtime.store.digest import digest_of
from lora_runtime.store.sources.hub_errors import explain
from support.hub import Hub, running_hub
from unit.runtime.store.conftest import open_again
from unit.runtime.store.sources import REPO, from_hub, refusal_of

CHUNK = 1 << 20
"""What the client writes at once: of what came after the last whole chunk, nothing is kept."""


@pytest.fixture
def large(pirate: Path) -> Path:
    """Two chunks long; the store does not look inside."""
    (pirate / "adapter_model.safetensors").write_bytes(b"\7" * (CHUNK + 4096))
    return pirate


def put_token(tmp_path: Path, secret: str, token: str) -> None:
    folder = tmp_path / "credentials" / secret
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text(token + "\n")


async def test_a_branch_is_pinned_to_the_commit_it_names_now(hub: Hub, store: ContentStore, pirate: Path) -> None:
    commit = hub.repo(REPO).commit(pirate)

    resolved = await store.resolve(from_hub("main"))

    assert resolved.source.hugging_face is not None
    assert resolved.source.hugging_face.revision == commit
    assert resolved.source.describe() == f"{REPO}@{commit}"
    assert resolved.digest == digest_of(pirate)
    assert sorted(p.name for p in resolved.folder.iterdir()) == sorted(ADAPTER_FILES)
    for name in ADAPTER_FILES:
        assert (resolved.folder / name).read_bytes() == (pirate / name).read_bytes()


async def test_a_pinned_commit_is_served_after_the_branch_has_moved_on(
    hub: Hub, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    hub.repo(REPO).commit(pirate)
    resolved = await store.resolve(from_hub())
    config = pirate / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "lora_alpha": 1}))
    hub.repo(REPO).commit(pirate)

    other_pod = open_again(tmp_path / "other", hub)

    assert digest_of(await other_pod.ensure(resolved.source, resolved.digest)) == resolved.digest
    assert (await store.resolve(from_hub())).digest == digest_of(pirate) != resolved.digest


async def test_only_the_two_files_of_a_subfolder_are_fetched(hub: Hub, store: ContentStore, pirate: Path) -> None:
    (pirate / "README.md").write_text("words")
    hub.repo(REPO).commit(pirate, branch="v3", subfolder="en/pirate")
    resolved = await store.resolve(from_hub("v3", subfolder="en/pirate"))
    assert resolved.digest == digest_of(pirate)
    assert sorted(name for name, _ in hub.downloads()) == sorted(ADAPTER_FILES)


async def test_a_commit_that_is_here_is_not_downloaded_again(hub: Hub, store: ContentStore, pirate: Path) -> None:
    hub.repo(REPO).commit(pirate)
    await store.resolve(from_hub())
    before = hub.downloads()
    await store.resolve(from_hub())
    assert hub.downloads() == before


async def test_progress_counts_up_to_the_size_of_both_files(hub: Hub, store: ContentStore, pirate: Path) -> None:
    hub.repo(REPO).commit(pirate)
    told: list[tuple[int, int | None]] = []
    await store.resolve(from_hub(), progress=lambda done, total: told.append((done, total)))
    size = sum((pirate / name).stat().st_size for name in ADAPTER_FILES)
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


async def test_a_cut_connection_is_resumed_at_the_last_chunk(hub: Hub, store: ContentStore, large: Path) -> None:
    hub.repo(REPO).commit(large)
    hub.cut_after = {"adapter_model.safetensors": CHUNK + 5}
    assert (await store.resolve(from_hub())).digest == digest_of(large)
    assert hub.downloads()[-1] == ("adapter_model.safetensors", f"bytes={CHUNK}-")


async def test_a_download_that_failed_goes_on_where_it_stopped_even_after_a_restart(
    hub: Hub, store: ContentStore, large: Path, tmp_path: Path
) -> None:
    hub.repo(REPO).commit(large)
    hub.cut_after, hub.dies_after_cut = {"adapter_model.safetensors": CHUNK + 5}, True
    assert (await refusal_of(store, from_hub())).reason is Reason.SOURCE_UNREACHABLE

    hub.fail_with = None
    hub.requests.clear()
    restarted = open_again(tmp_path, hub)

    assert (await restarted.resolve(from_hub())).digest == digest_of(large)
    assert hub.downloads() == [("adapter_model.safetensors", f"bytes={CHUNK}-")]


async def test_a_download_that_nobody_wants_any_more_ends_and_is_gone_on_with_later(
    hub: Hub, store: ContentStore, large: Path, tmp_path: Path
) -> None:
    (large / "adapter_model.safetensors").write_bytes(b"\7" * (4 * CHUNK))
    commit = hub.repo(REPO).commit(large)
    hub.stall_after = {"adapter_model.safetensors": 2 * CHUNK + 5}
    half = threading.Event()

    def heard(done: int, total: int | None) -> None:
        if done >= 2 * CHUNK:
            half.set()

    wanted = asyncio.create_task(store.ensure(from_hub(commit), digest_of(large), heard))
    assert await asyncio.to_thread(half.wait, 10)
    wanted.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(wanted, timeout=5)
    hub.go_on.set()

    assert digest_of(await store.ensure(from_hub(commit), digest_of(large))) == digest_of(large)
    (name, sent) = hub.downloads()[-1]
    assert name == "adapter_model.safetensors"
    assert sent == f"bytes={2 * CHUNK}-", "the rest was not fetched for nobody, and the first half is not fetched twice"


@pytest.mark.parametrize("left", [b"", b"\0" * 1093, b"{}"], ids=["empty", "zeros", "other"])
async def test_a_file_that_lost_its_bytes_with_the_power_is_fetched_again(
    hub: Hub, store: ContentStore, pirate: Path, tmp_path: Path, left: bytes
) -> None:
    # small files have no SHA-256 on the hub: what an earlier process left is compared with what git hashes
    hub.repo(REPO).commit(pirate)
    hub.cut_after, hub.dies_after_cut = {"adapter_model.safetensors": 5}, True
    await refusal_of(store, from_hub())
    (incoming,) = (tmp_path / "store" / "incoming").iterdir()
    assert (incoming / "adapter_config.json").exists()
    (incoming / "adapter_config.json").write_bytes(left)

    hub.fail_with = None
    assert (await open_again(tmp_path, hub).resolve(from_hub())).digest == digest_of(pirate)


async def test_a_small_file_that_is_whole_is_not_fetched_twice(
    hub: Hub, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    hub.repo(REPO).commit(pirate)
    hub.cut_after, hub.dies_after_cut = {"adapter_model.safetensors": 5}, True
    await refusal_of(store, from_hub())
    hub.fail_with = None
    await open_again(tmp_path, hub).resolve(from_hub())
    assert [name for name, _ in hub.downloads()].count("adapter_config.json") == 1


async def test_the_token_goes_to_the_hub_and_not_to_where_it_keeps_large_files(
    hub: Hub, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    hub.repo(REPO).commit(pirate)
    hub.repo(REPO).token = "hf_right"
    put_token(tmp_path, "hf-team", "hf_right")
    with running_hub("127.0.0.2") as cdn:
        hub.cdn = cdn
        assert (await store.resolve(from_hub(secret="hf-team"))).digest == digest_of(pirate)
    assert set(hub.tokens) == {"Bearer hf_right"}
    assert cdn.tokens == [None]


async def test_a_mirror_may_be_named_with_a_slash_at_its_end(hub: Hub, pirate: Path, tmp_path: Path) -> None:
    hub.repo(REPO).commit(pirate)
    hub.endpoint += "/"
    assert (await open_again(tmp_path, hub).resolve(from_hub())).digest == digest_of(pirate)
    assert not any("//" in path for _, path, _ in hub.requests)


async def test_looking_whether_a_branch_has_moved_downloads_nothing_while_it_has_not(
    hub: Hub, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    first = hub.repo(REPO).commit(pirate)
    await store.resolve(from_hub())
    hub.requests.clear()
    assert (await store.resolve(from_hub())).source.hugging_face == HuggingFaceSource(repo=REPO, revision=first)
    assert len(hub.requests) == 1


async def test_damaged_bytes_are_thrown_away_and_fetched_anew(hub: Hub, store: ContentStore, pirate: Path) -> None:
    hub.repo(REPO).commit(pirate)
    hub.tamper = b"{}"
    refusal = await refusal_of(store, from_hub())
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_UNREACHABLE, True)
    assert "arrived damaged" in refusal.message


async def test_a_private_repository_opens_with_the_token_of_its_secret(
    hub: Hub, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    hub.repo(REPO).commit(pirate)
    hub.repo(REPO).token = "hf_right"
    put_token(tmp_path, "hf-team", "hf_right")
    assert (await store.resolve(from_hub(secret="hf-team"))).digest == digest_of(pirate)


async def test_a_rotated_token_works_without_a_restart(
    hub: Hub, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    hub.repo(REPO).commit(pirate)
    hub.repo(REPO).token = "hf_new"
    put_token(tmp_path, "hf-team", "hf_old")
    refusal = await refusal_of(store, from_hub(secret="hf-team"))
    assert (refusal.reason, refusal.retryable) == (Reason.UNAUTHORIZED, True)
    assert "the token in Secret hf-team does not open it" in refusal.message

    put_token(tmp_path, "hf-team", "hf_new")
    assert (await store.resolve(from_hub(secret="hf-team"))).digest == digest_of(pirate)


async def test_a_private_repository_without_credentials_says_which_field_to_set(
    hub: Hub, store: ContentStore, pirate: Path
) -> None:
    hub.repo(REPO).commit(pirate)
    hub.repo(REPO).token = "hf_right"
    refusal = await refusal_of(store, from_hub())
    assert (refusal.condition, refusal.reason) == (AdapterCondition.FETCHED, Reason.UNAUTHORIZED)
    assert f"{hub.endpoint} answers 401 for {REPO}" in refusal.message
    assert "set source.credentialsRef" in refusal.message
    assert "spec.credentials" in refusal.message


async def test_a_gated_repository_is_unauthorized(hub: Hub, store: ContentStore, pirate: Path) -> None:
    hub.repo(REPO).commit(pirate)
    hub.repo(REPO).gated = True
    refusal = await refusal_of(store, from_hub())
    assert refusal.reason is Reason.UNAUTHORIZED
    assert "answers 403" in refusal.message


async def test_a_secret_that_is_not_mounted_is_named(hub: Hub, store: ContentStore, pirate: Path) -> None:
    hub.repo(REPO).commit(pirate)
    refusal = await refusal_of(store, from_hub(secret="hf-team"))
    assert (refusal.reason, refusal.retryable) == (Reason.UNAUTHORIZED, True)
    assert "no credentials from Secret hf-team" in refusal.message


async def test_a_token_that_is_no_header_value_is_not_repeated_to_anyone(
    hub: Hub, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    hub.repo(REPO).commit(pirate)
    put_token(tmp_path, "hf-team", "hf_secret\nhf_other")
    refusal = await refusal_of(store, from_hub(secret="hf-team"))
    assert refusal.reason is Reason.UNAUTHORIZED
    assert "hf_secret" not in refusal.message
    assert hub.requests == []


async def test_an_unknown_repository_or_revision_is_named(
    hub: Hub, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    put_token(tmp_path, "hf-team", "hf_any")
    refusal = await refusal_of(store, from_hub(secret="hf-team"))
    assert refusal.reason is Reason.SOURCE_NOT_FOUND
    assert f"has no repository {REPO}" in refusal.message

    hub.repo(REPO).commit(pirate)
    refusal = await refusal_of(store, from_hub("v9"))
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_NOT_FOUND, True)
    assert f"{REPO} on {hub.endpoint} has no revision v9" in refusal.message


async def test_a_repository_without_an_adapter_says_what_it_has(hub: Hub, store: ContentStore, pirate: Path) -> None:
    (pirate / "adapter_config.json").unlink()
    hub.repo(REPO).commit(pirate)
    refusal = await refusal_of(store, from_hub())
    assert refusal.reason is Reason.SOURCE_NOT_FOUND
    assert "has no adapter_config.json; it has: adapter_model.safetensors" in refusal.message


async def test_a_pickle_is_refused_before_it_is_downloaded(hub: Hub, store: ContentStore, pirate: Path) -> None:
    (pirate / "adapter_model.safetensors").rename(pirate / "adapter_model.bin")
    hub.repo(REPO).commit(pirate)
    assert (await refusal_of(store, from_hub())).reason is Reason.UNSAFE_FORMAT
    assert hub.downloads() == []


async def test_too_large_an_adapter_is_refused_before_it_is_downloaded(hub: Hub, pirate: Path, tmp_path: Path) -> None:
    hub.repo(REPO).commit(pirate)
    refusal = await refusal_of(open_again(tmp_path, hub, max_bytes=1000), from_hub())
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_TOO_LARGE, False)
    assert "at most 1000 bytes are fetched" in refusal.message
    assert hub.downloads() == []


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_hub_in_trouble_is_unreachable_for_now(
    hub: Hub, store: ContentStore, pirate: Path, status: int
) -> None:
    hub.repo(REPO).commit(pirate)
    hub.fail_with = status
    refusal = await refusal_of(store, from_hub())
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_UNREACHABLE, True)
    assert f"{hub.endpoint} answers {status}" in refusal.message


async def test_what_is_not_a_hub_is_said_to_be_none(hub: Hub, store: ContentStore) -> None:
    hub.is_a_login_page = True
    refusal = await refusal_of(store, from_hub())
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_UNREACHABLE, True)
    assert f"{hub.endpoint} does not answer as a Hugging Face Hub does" in refusal.message


async def test_a_hub_that_does_not_answer_is_unreachable(hub: Hub, tmp_path: Path) -> None:
    hub.endpoint = "http://127.0.0.1:9"
    refusal = await refusal_of(open_again(tmp_path, hub), from_hub())
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_UNREACHABLE, True)
    assert "http://127.0.0.1:9 cannot be reached from the pod" in refusal.message


async def test_a_digest_other_than_the_pinned_one_is_refused_with_both(
    hub: Hub, store: ContentStore, pirate: Path
) -> None:
    hub.repo(REPO).commit(pirate)
    wanted = "sha256:" + "0" * 64
    with pytest.raises(Refused) as caught:
        await store.resolve(from_hub(), pin=wanted)
    refusal = caught.value.refusal
    assert (refusal.reason, refusal.retryable) == (Reason.DIGEST_MISMATCH, False)
    assert wanted in refusal.message
    assert digest_of(pirate) in refusal.message


def test_an_offline_pod_says_which_variable_keeps_it_so() -> None:
    # the client reads the variable once, at import, so only what becomes of its error is seen here
    source = HuggingFaceSource(repo=REPO)
    refusal = explain(OfflineModeIsEnabled("offline"), source, "https://hub.example", "").refusal
    assert refusal.reason is Reason.SOURCE_UNREACHABLE
    assert "HF_HUB_OFFLINE=1" in refusal.message
