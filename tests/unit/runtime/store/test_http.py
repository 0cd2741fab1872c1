"""Adapters from a web server: versions, logins, redirects, and connections that end too soon."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_api.egress import Egress
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import ADAPTER_FILES, Refused
from lora_runtime.store.content import ContentStore
from lora_runtime.store.digest import digest_of
from support.stores import LOOPBACK, a_source, an_adapter_of, mount_secret, open_at, refused
from support.tls import server_context
from support.web_server import WebServer, running_web_server

TENSORS = "adapter_model.safetensors"


@pytest.fixture
def web() -> Iterator[WebServer]:
    with running_web_server() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return open_at(tmp_path)


@pytest.fixture
def pirate(tmp_path: Path) -> Path:
    return an_adapter_of(tmp_path / "pirate")


async def test_files_are_fetched_and_pinned_to_their_etags(web: WebServer, store: ContentStore, pirate: Path) -> None:
    resolved = await store.resolve(a_source("http", url=web.put(pirate) + "/"))
    assert resolved.digest == digest_of(pirate)
    assert resolved.source.http is not None
    assert resolved.source.http.etags is not None
    assert resolved.source.describe() == f"{web.url}/pirate@{resolved.source.http.etags.tensors}"


@pytest.mark.parametrize("lacks", ["has_etags", "has_ranges", "tells_length"])
async def test_a_simple_server_will_do(web: WebServer, store: ContentStore, pirate: Path, lacks: str) -> None:
    setattr(web, lacks, False)
    assert (await store.resolve(a_source("http", url=web.put(pirate)))).digest == digest_of(pirate)


async def test_other_tensors_than_those_of_the_sha256_are_refused(
    web: WebServer, store: ContentStore, pirate: Path
) -> None:
    url, right = web.put(pirate), hashlib.sha256((pirate / TENSORS).read_bytes()).hexdigest()
    refusal = await refused(store, a_source("http", url=url, sha256="0" * 64))
    assert (refusal.reason, refusal.retryable) == (Reason.DIGEST_MISMATCH, False)
    assert f"has the SHA-256 {right}, but source.http.sha256 is {'0' * 64}" in refusal.message

    assert (await store.resolve(a_source("http", url=url, sha256=right))).digest == digest_of(pirate)


@pytest.mark.parametrize(
    "keys", [{"token": "hunter2"}, {"username": "pirate", "password": "hunter2"}], ids=["token", "password"]
)
async def test_credentials_are_needed_sent_and_rotated_without_a_restart(
    web: WebServer, store: ContentStore, pirate: Path, tmp_path: Path, keys: dict[str, str]
) -> None:
    url = web.put(pirate)
    web.token, web.login = keys.get("token"), ("pirate", "hunter2") if "password" in keys else None
    assert (await refused(store, a_source("http", url=url))).reason is Reason.UNAUTHORIZED

    secret = mount_secret(tmp_path, {key: "hunter1" for key in keys})
    refusal = await refused(store, a_source("http", secret, url=url))
    assert (refusal.reason, refusal.retryable) == (Reason.UNAUTHORIZED, True)
    assert "Secret team does not open it" in refusal.message
    assert "hunter1" not in refusal.message

    mount_secret(tmp_path, keys)
    assert (await store.resolve(a_source("http", secret, url=url))).digest == digest_of(pirate)


async def test_missing_files_are_named_and_nothing_of_the_servers_answer_is_shown(
    web: WebServer, store: ContentStore
) -> None:
    refusal = await refused(store, a_source("http", url=f"{web.url}/nothing"))
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_NOT_FOUND, True)
    assert f"{web.url}/nothing has no adapter_config.json and no {TENSORS}" in refusal.message

    web.fail_with = 500
    refusal = await refused(store, a_source("http", url=f"{web.url}/nothing"))
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_UNREACHABLE, True)
    assert "answers 500" in refusal.message
    assert "secret" not in refusal.message


async def test_a_server_that_is_not_there_is_unreachable(store: ContentStore) -> None:
    refusal = await refused(store, a_source("http", url="http://127.0.0.1:1/pirate"))
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_UNREACHABLE, True)
    refusal = await refused(store, a_source("http", url="http://no-such-host.invalid/pirate"))
    assert refusal.reason is Reason.SOURCE_UNREACHABLE
    assert "the name no-such-host.invalid cannot be looked up" in refusal.message


async def test_a_server_without_tls_is_told_with_how_to_say_so(web: WebServer, store: ContentStore) -> None:
    port = web.url.rpartition(":")[2]
    for source in (
        a_source("oci", reference=f"127.0.0.1:{port}/team/pirate:v1"),
        a_source("http", url=f"https://127.0.0.1:{port}/pirate"),
    ):
        refusal = await refused(store, source)
        assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_UNREACHABLE, True)
        assert "does not speak TLS; if it is meant to, correct the port, else set plainHTTP: true" in refusal.message
        assert "certificate" not in refusal.message


@pytest.mark.parametrize("tells_length", [True, False])
async def test_what_is_too_large_is_stopped(web: WebServer, pirate: Path, tmp_path: Path, tells_length: bool) -> None:
    web.tells_length = tells_length
    web.has_ranges = tells_length
    refusal = await refused(open_at(tmp_path, max_bytes=1 << 20), a_source("http", url=web.put(pirate)))
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_TOO_LARGE, False)


async def test_a_compressed_answer_is_refused(web: WebServer, store: ContentStore, pirate: Path) -> None:
    web.packs = True
    refusal = await refused(store, a_source("http", url=web.put(pirate)))
    assert refusal.reason is Reason.SOURCE_UNREACHABLE
    assert "compressed" in refusal.message


async def test_a_cut_download_goes_on_where_it_stopped_also_after_a_restart(
    web: WebServer, pirate: Path, tmp_path: Path
) -> None:
    source = a_source("http", url=web.put(pirate))
    web.cut_after[f"/pirate/{TENSORS}"] = (2 << 20) + 4096
    refusal = await refused(open_at(tmp_path), source)
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_UNREACHABLE, True)

    assert (await open_at(tmp_path).resolve(source)).digest == digest_of(pirate)
    assert web.downloads(TENSORS) == [None, f"bytes={2 << 20}-"]


async def test_what_was_written_before_the_machine_went_down_is_not_trusted(
    web: WebServer, pirate: Path, tmp_path: Path
) -> None:
    source = a_source("http", url=web.put(pirate))
    web.cut_after[f"/pirate/{TENSORS}"] = 2 << 20
    await refused(open_at(tmp_path), source)
    (mark,) = (tmp_path / "store" / "incoming").rglob(".boot")
    mark.write_text("another boot")

    resolved = await open_at(tmp_path).resolve(source)
    assert resolved.digest == digest_of(pirate)
    assert sorted(file.name for file in resolved.folder.iterdir()) == sorted(ADAPTER_FILES)
    assert web.downloads(TENSORS) == [None, None]


async def test_a_file_that_was_replaced_after_the_cut_is_fetched_from_its_start(
    web: WebServer, store: ContentStore, pirate: Path, tmp_path: Path
) -> None:
    source = a_source("http", url=web.put(pirate))
    web.cut_after[f"/pirate/{TENSORS}"] = 2 << 20
    await refused(store, source)
    other = an_adapter_of(tmp_path / "other", seed=b"parrot")
    web.put(other)

    assert (await store.resolve(source)).digest == digest_of(other)
    assert web.downloads(TENSORS) == [None, None]


async def test_without_etags_nothing_of_a_cut_download_is_used(
    web: WebServer, store: ContentStore, pirate: Path
) -> None:
    web.has_etags = False
    source = a_source("http", url=web.put(pirate))
    web.cut_after[f"/pirate/{TENSORS}"] = 2 << 20
    await refused(store, source)

    assert (await store.resolve(source)).digest == digest_of(pirate)
    assert web.downloads(TENSORS) == [None, None]


async def test_a_server_that_sends_the_whole_file_again_is_believed(
    web: WebServer, store: ContentStore, pirate: Path
) -> None:
    source = a_source("http", url=web.put(pirate))
    web.cut_after[f"/pirate/{TENSORS}"] = 2 << 20
    await refused(store, source)
    web.has_ranges = False

    assert (await store.resolve(source)).digest == digest_of(pirate)


@pytest.mark.parametrize("minds", [True, False], ids=["minds If-Match", "ignores If-Match"])
async def test_a_replaced_file_is_not_taken_for_the_pinned_one(
    web: WebServer, store: ContentStore, pirate: Path, tmp_path: Path, minds: bool
) -> None:
    web.minds_if_match = minds
    pinned = await store.resolve(a_source("http", url=web.put(pirate)))
    web.put(an_adapter_of(tmp_path / "other", seed=b"parrot"))
    (tmp_path / "new pod").mkdir()
    with pytest.raises(Refused) as caught:
        await open_at(tmp_path / "new pod").ensure(pinned.source, pinned.digest)
    assert (caught.value.refusal.reason, caught.value.refusal.retryable) == (Reason.DIGEST_MISMATCH, True)
    assert pinned.source.http is not None
    assert pinned.source.http.etags is not None
    assert web.asked[-1].if_match == pinned.source.http.etags.tensors


async def test_a_download_that_nobody_wants_stops_at_once_and_can_be_gone_on_with(
    web: WebServer, store: ContentStore, pirate: Path
) -> None:
    web.stall = threading.Event()
    source = a_source("http", url=web.put(pirate))
    begun = asyncio.Event()
    resolving = asyncio.create_task(store.resolve(source, progress=lambda done, _: begun.set() if done else None))
    await asyncio.wait_for(begun.wait(), 10)
    resolving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(resolving, 1)
    assert await asyncio.to_thread(web.left_early.wait, 10)

    web.stall.set()
    assert (await store.resolve(source)).digest == digest_of(pirate)
    assert web.downloads(TENSORS) == [None, f"bytes={1 << 20}-"]


async def test_a_redirect_on_the_same_host_is_followed(web: WebServer, store: ContentStore, pirate: Path) -> None:
    web.put(pirate, "/moved")
    for name in (TENSORS, "adapter_config.json"):
        web.redirects[f"/pirate/{name}"] = f"/moved/{name}"
    assert (await store.resolve(a_source("http", url=f"{web.url}/pirate"))).digest == digest_of(pirate)


async def test_a_redirect_to_another_host_is_followed_only_if_that_is_listed_and_without_credentials(
    web: WebServer, pirate: Path, tmp_path: Path
) -> None:
    secret = mount_secret(tmp_path, {"token": "hunter2"})
    with running_web_server("127.0.0.2") as other:
        there = other.put(pirate)
        for name in ADAPTER_FILES:
            web.redirects[f"/pirate/{name}"] = f"{there}/{name}?signature=hunter3"
        source = a_source("http", secret, url=f"{web.url}/pirate")

        refusal = await refused(open_at(tmp_path), source)
        assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_FORBIDDEN, True)
        assert f"redirects adapter_config.json at {web.url}/pirate to {there}/adapter_config.json" in refusal.message
        assert "hunter3" not in refusal.message
        assert not other.asked

        listed = LOOPBACK.model_copy(update={"allowed_hosts": ("127.0.0.1", "127.0.0.2")})
        assert (await open_at(tmp_path, listed).resolve(source)).digest == digest_of(pirate)
        assert {one.authorization for one in web.asked} == {"Bearer hunter2"}
        assert {one.authorization for one in other.asked} == {None}


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/"])
async def test_a_redirect_to_a_metadata_service_is_refused_though_every_host_is_listed(
    web: WebServer, tmp_path: Path, target: str
) -> None:
    web.redirects["/pirate/adapter_config.json"] = target
    egress = LOOPBACK.model_copy(update={"allowed_hosts": ("*",)})
    refusal = await refused(open_at(tmp_path, egress), a_source("http", url=f"{web.url}/pirate"))
    assert refusal.reason is Reason.SOURCE_FORBIDDEN
    assert "metadata address" in refusal.message


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "169.254.169.254", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433"],  # noqa: S104  (not bound)
)
async def test_loopback_and_metadata_addresses_are_refused_by_number_and_by_name(tmp_path: Path, host: str) -> None:
    refusal = await refused(open_at(tmp_path, Egress()), a_source("http", url=f"http://{host}:80/pirate"))
    assert (refusal.reason, refusal.retryable) == (Reason.SOURCE_FORBIDDEN, True)
    assert "a loopback, link-local or metadata address" in refusal.message


async def test_a_private_authority_is_trusted_when_the_pods_environment_names_it(
    pirate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = server_context(tmp_path, "127.0.0.1")
    with running_web_server(tls=context) as web:
        source = a_source("http", url=web.put(pirate))
        refusal = await refused(open_at(tmp_path), source)
        assert refusal.reason is Reason.SOURCE_UNREACHABLE
        assert "CERTIFICATE_VERIFY_FAILED" in refusal.message

        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert (await open_at(tmp_path).resolve(source)).digest == digest_of(pirate)


async def test_a_certificate_must_be_that_of_the_name_and_not_of_the_address(
    pirate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = server_context(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with running_web_server(tls=context) as web:
        web.put(pirate)
        port = web.url.rpartition(":")[2]
        egress = Egress.model_validate({"allowedAddresses": ["127.0.0.0/8", "::1/128"]})
        by_name = a_source("http", url=f"https://localhost:{port}/pirate")
        assert (await open_at(tmp_path, egress).resolve(by_name)).digest == digest_of(pirate)
        by_address = a_source("http", url=f"https://127.0.0.1:{port}/pirate")
        assert (await refused(open_at(tmp_path, egress), by_address)).reason is Reason.SOURCE_UNREACHABLE


async def test_a_redirect_away_from_tls_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: WebServer, pirate: Path
) -> None:
    context, authority = server_context(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with running_web_server(tls=context) as secure:
        secure.redirects["/pirate/adapter_config.json"] = f"{web.put(pirate)}/adapter_config.json"
        refusal = await refused(open_at(tmp_path), a_source("http", url=f"{secure.url}/pirate"))
    assert refusal.reason is Reason.SOURCE_FORBIDDEN
    assert "which is not encrypted" in refusal.message
