"""Whether an adapter answers as its author says it must: `spec.verify`. Pure."""

import hashlib

from lora_api.v1alpha1.adapter import Verify

_SHOWN = 200
"""Characters of the answer in a message."""


def objection(verify: Verify, answer: str) -> str | None:
    """What is wrong with an answer, in words; None when it is as wanted."""
    said = f"it answered {answer[:_SHOWN]!r}{' and more' if len(answer) > _SHOWN else ''}"
    if verify.contains is not None and verify.contains not in answer:
        return f"the answer to spec.verify.prompt does not contain {verify.contains[:_SHOWN]!r}: {said}"
    if verify.sha256 is not None:
        found = hashlib.sha256(answer.encode()).hexdigest()
        if found != verify.sha256:
            return f"the answer to spec.verify.prompt has SHA-256 {found}, wanted {verify.sha256}: {said}"
    return None
