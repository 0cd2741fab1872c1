"""Names that somebody typed, before they become parts of a URL: what is none would lead elsewhere. Pure."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from lora_api.error_codes import ErrorCode
from lora_api.v1alpha1.common import ObjectName, ServedName
from lora_api.wrong_values import in_words
from lora_cli.errors import Failed

_OBJECT: TypeAdapter[str] = TypeAdapter(ObjectName)
_DECLARED: TypeAdapter[str] = TypeAdapter(ServedName)
_NAMESPACE: TypeAdapter[str] = TypeAdapter(
    Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
)


def of_object(text: str) -> str:
    """The name of an object of an API server.

    Raises:
        Failed: it is none.
    """
    return _checked(_OBJECT, text, "an object")


def of_namespace(text: str) -> str:
    """The name of a namespace.

    Raises:
        Failed: it is none.
    """
    return _checked(_NAMESPACE, text, "a namespace")


def of_declared(text: str) -> str:
    """The name of an adapter of a server without a cluster, which may have slashes.

    Raises:
        Failed: it is none, or a client of HTTP would take parts of it for steps through folders.
    """
    name = _checked(_DECLARED, text, "an adapter")
    if {".", ".."} & set(name.split("/")):
        raise _none(text, "an adapter", "no part between slashes may be . or ..")
    return name


def _checked(kind: Any, text: str, what: str) -> str:
    try:
        name: str = kind.validate_python(text)
    except ValidationError as error:
        why = in_words(error) if text else "it is empty; is a variable of your script not set?"
        raise _none(text, what, why) from error
    return name


def _none(text: str, what: str, why: str) -> Failed:
    return Failed(ErrorCode.INVALID, f"{text!r} is no name of {what}: {why}")
