"""The process behind the page: on this machine's loopback only, for as long as it is wanted."""

import secrets
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from lora_api.error_codes import ErrorCode
from lora_cli.clients import broken
from lora_cli.clients.cluster import ClusterFacts
from lora_cli.clients.server_objects import ServerObjects
from lora_cli.domain import health
from lora_cli.domain.objects import Json
from lora_cli.errors import Failed
from lora_cli.session import Session
from lora_cli.ui import guard
from lora_cli.ui.board import Board
from lora_cli.ui.guard import Guard
from lora_cli.ui.routes import Routes

_LOOPBACK = "127.0.0.1"
_TOKEN_BYTES = 24
COMMAND = "COMMAND"
"""Where in what is typed here a command stands."""
_PATIENCE_SECONDS = 2
"""For what is being sent when the process is told to end."""


class _Server(uvicorn.Server):
    """Lets go of pages that listen as soon as it is told to end."""

    def __init__(self, config: uvicorn.Config, board: Board) -> None:
        super().__init__(config)
        self._board = board

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._board.close()
        super().handle_exit(sig, frame)


def serve(session: Session, port: int, tell: Callable[[str], None]) -> None:
    """Serves the page until it is interrupted.

    Args:
        session: Whose rights it has.
        port: To listen on; 0 for any.
        tell: Told the address as soon as it answers.

    Raises:
        Failed: the port is taken, or the API server or the server cannot be asked.
    """
    place = _place(session)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    board = Board(session.objects)
    with _listening(session, port) as listener:
        hosts = guard.hosts((_LOOPBACK, "localhost"), listener.getsockname()[1])
        app = Guard(Routes(session, board, place).application(token), token, hosts)
        board.open()
        tell(f"http://{hosts[0]}/{token}/")
        # The address must not stand in any log.
        config = uvicorn.Config(
            app, http="h11", ws="none", loop="asyncio", lifespan="off", access_log=False, log_level="warning",
            server_header=False, timeout_graceful_shutdown=_PATIENCE_SECONDS,
        )  # fmt: skip
        _Server(config, board).run(sockets=[listener])


def _place(session: Session) -> Json:
    """What the page says of where it works, and what it does not offer there."""
    remark = ""
    if session.server is None:
        allowed = ClusterFacts(session.kube).allowed(health.RIGHTS)
    else:
        served = ServerObjects(session.server)
        # Better now than in the browser.
        served.state()
        refused = served.why_no_changes()
        allowed = {right: refused is None or not right.changes for right in health.RIGHTS}
        remark = f"What is changed here lasts {session.remark}." if refused is None else str(refused)
    rights = {right.words: may for right, may in allowed.items()}
    kind, name = ("namespace", session.namespace) if session.server is None else ("server", session.server.url)
    return {"kind": kind, "name": name, "typed": session.typed(COMMAND), "rights": rights, "remark": remark}


def _listening(session: Session, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_LOOPBACK, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise Failed(
            ErrorCode.CONFLICT,
            f"cannot listen on {_LOOPBACK}:{port}: {broken.in_words(error)}",
            then=session.typed("ui --port 0"),
        ) from error
    return listener
