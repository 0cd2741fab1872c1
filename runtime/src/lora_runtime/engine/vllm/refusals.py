"""Errors in OpenAI's shape, as vLLM's handlers return them."""

from http import HTTPStatus
from typing import Any


def unavailable(serving: Any, why: str, param: str = "model") -> Any:
    """503: it may be there in a moment."""
    return serving.create_error_response(
        message=why, err_type="ServiceUnavailableError", status_code=HTTPStatus.SERVICE_UNAVAILABLE, param=param
    )


def not_found(serving: Any, why: str, param: str) -> Any:
    """404: nobody has declared it."""
    return serving.create_error_response(
        message=why, err_type="NotFoundError", status_code=HTTPStatus.NOT_FOUND, param=param
    )
