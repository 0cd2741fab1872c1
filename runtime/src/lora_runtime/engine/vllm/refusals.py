"""Errors in OpenAI's shape, as vLLM's handlers return them."""

from http import HTTPStatus
from typing import Any

from lora_api.error_codes import HTTP_STATUS, OPENAI_TYPE, ErrorCode, code_of
from lora_api.v1alpha1.conditions import Reason


def unavailable(serving: Any, why: str, param: str = "model", reason: Reason = Reason.PENDING) -> Any:
    """503: it may be there in a moment, or when somebody has done something about the reason."""
    kind = OPENAI_TYPE[ErrorCode.NOT_READY]
    answer = serving.create_error_response(
        message=why, err_type=kind, status_code=HTTPStatus.SERVICE_UNAVAILABLE, param=param
    )
    return _because(answer, reason)


def refused(serving: Any, why: str, param: str, reason: Reason) -> Any:
    """What was asked for can never be had."""
    code = code_of(reason)
    answer = serving.create_error_response(
        message=why, err_type=OPENAI_TYPE[code], status_code=HTTPStatus(HTTP_STATUS[code]), param=param
    )
    return _because(answer, reason)


def not_found(serving: Any, why: str, param: str) -> Any:
    """404: nobody has declared it."""
    return serving.create_error_response(
        message=why, err_type=OPENAI_TYPE[ErrorCode.NOT_FOUND], status_code=HTTPStatus.NOT_FOUND, param=param
    )


def _because(answer: Any, reason: Reason) -> Any:
    # A field beside OpenAI's, from which the code is made when the answer leaves: vLLM's own is the HTTP status.
    answer.error.reason = reason.value
    return answer
