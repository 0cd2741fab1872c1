"""What a server's refusal means, and what to do about it."""

import re
from collections.abc import Mapping

from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import Refused, not_fetched

_SHOWN_AT_MOST = 300
_WITHOUT_TLS = re.compile(r"\[SSL: (WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE)\]")
"""What OpenSSL calls an answer in plain HTTP, before and since 3.2."""
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>|\"code\":\s*\"([A-Za-z0-9_]{1,64})\"")


class Answered(Exception):
    """A status that is no success."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, *, elsewhere: bool = False) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = body
        """Its beginning."""
        self.elsewhere = elsewhere
        """Said by another server, to which the named one redirected."""

    @property
    def code(self) -> str:
        """The one word that object stores and registries put into the body; empty when there is none."""
        found = _CODE.search(self.body)
        return "" if found is None else (found[1] or found[2]).decode()

    @property
    def told(self) -> str:
        """The status, and the code where there is one."""
        return f"{self.status} {self.code}".rstrip()


def explain(answer: Answered, where: str, remedy: str) -> Refused:
    """Translates a status.

    Args:
        answer: What the server said.
        where: What it was asked for, in words.
        remedy: What to do when it wants (other) credentials.
    """
    if answer.status in (401, 403):
        return not_fetched(
            Reason.UNAUTHORIZED,
            f"the server answers {answer.told} for {where}: it may not be read, or does not exist (many servers do not "
            f"tell which); {remedy}",
            retryable=True,
        )
    if answer.status in (404, 410):
        return not_fetched(
            Reason.SOURCE_NOT_FOUND,
            f"there is no {where} (the server answers {answer.told}); correct the source, or put the files there",
            retryable=True,
        )
    if answer.status == 429 or answer.status >= 500:
        return not_fetched(
            Reason.SOURCE_UNREACHABLE,
            f"the server answers {answer.told} for {where}; it is tried again",
            retryable=True,
        )
    return not_fetched(
        Reason.SOURCE_UNREACHABLE,
        f"the server answers {answer.told} for {where}, which is not an answer to the question; check that the source "
        f"names the right server and protocol",
        retryable=True,
    )


def unreachable(where: str, error: Exception) -> Refused:
    """No answer, or none that ended."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:_SHOWN_AT_MOST]
    advice = "Check the source's host, the network policy, and the server's certificate"
    if _WITHOUT_TLS.search(line):
        advice = (
            "The server does not speak TLS; if it is meant to, correct the port, else set plainHTTP: true in an oci "
            "source, or write http:// in the endpoint or url of another"
        )
    return not_fetched(
        Reason.SOURCE_UNREACHABLE,
        f"{where} cannot be fetched ({type(error).__name__}: {line}); it is tried again. {advice}",
        retryable=True,
    )


def forbidden(where: str, problem: str) -> Refused:
    """The administrator does not allow to go there. An address may change, so it is tried again."""
    return not_fetched(Reason.SOURCE_FORBIDDEN, f"{where} is not fetched: {problem}", retryable=True)


def redirected_away(where: str, target: str, problem: str) -> Refused:
    """A redirect that is not followed."""
    return not_fetched(
        Reason.SOURCE_FORBIDDEN,
        f"the server redirects {where} to {target}, {problem}; name that place in the source, or have its host added to "
        f"the Helm value `egress.allowedHosts`",
        retryable=True,
    )


def changed(where: str) -> Refused:
    """Somebody replaced the file after it was resolved."""
    return not_fetched(
        Reason.DIGEST_MISMATCH,
        f"{where} was replaced since it was resolved; put the old file back, or change the annotation "
        f"lora-operator.io/refresh of the LoRAAdapter to take the new one. Better keep each version in a folder of its own",
        retryable=True,
    )


def damaged(where: str) -> Refused:
    """What arrived is not what was asked for."""
    return not_fetched(Reason.SOURCE_UNREACHABLE, f"{where} arrived damaged; it is fetched again", retryable=True)


def too_slow(where: str, came: int, seconds: float, least: int) -> Refused:
    """It would take for ever, and hold up others meanwhile."""
    return not_fetched(
        Reason.SOURCE_UNREACHABLE,
        f"{where} comes too slowly: {came} bytes in {seconds:.0f} seconds, where at least {least} a minute are wanted; it "
        f"is tried again. Check the server and the network",
        retryable=True,
    )


def packed(where: str) -> Refused:
    """The server insists on Content-Encoding."""
    return not_fetched(
        Reason.SOURCE_UNREACHABLE,
        f"the server sends {where} compressed although that was not asked for; have it serve the file as it is",
        retryable=True,
    )
