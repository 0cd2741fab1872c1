"""The admin client when nobody is there; what it does with answers is proven against the runtime's own server."""

import asyncio
from datetime import UTC, datetime

from lora_api.runtime_api import Desired
from lora_operator.clients.certificates import Authority, client_context
from lora_operator.clients.runtime_admin import PodAddress, RuntimeAdmin
from lora_operator.domain.observed import Unreachable

HOST = "smol.team.runtime.lora-operator.io"


async def asked(port: int) -> object:
    authority = Authority.make(datetime.now(UTC))
    context = client_context(authority, authority.client("operator", datetime.now(UTC)))
    async with RuntimeAdmin(context) as admin:
        return await admin.inventory(PodAddress("pod-0", "127.0.0.1", HOST, port), None, 0)


async def test_a_pod_that_is_away_is_a_value() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    answer = await asked(port)
    assert isinstance(answer, Unreachable)
    assert "does not answer" in answer.message


async def test_a_pod_that_hangs_up_is_a_value() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        answer = await asked(server.sockets[0].getsockname()[1])
    assert isinstance(answer, Unreachable)


async def test_a_pod_is_told_nothing_once_there_is_no_time_to_write() -> None:
    authority = Authority.make(datetime.now(UTC))
    context = client_context(authority, authority.client("operator", datetime.now(UTC)))
    async with RuntimeAdmin(context, may_write=lambda: 0.0) as admin:
        answer = await admin.put_desired(PodAddress("pod-0", "127.0.0.1", HOST, 1), Desired())
    assert answer == Unreachable("the pod is not told anything, since another operator may be at work by now")
