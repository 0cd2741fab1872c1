"""What is wrong with a value that somebody wrote, in words that need no knowledge of how it was checked. Pure."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from lora_api.v1alpha1 import common, sources

_NAMED_AT_MOST = 5
_ONE_OF = re.compile(r"\^\((\w+(?:\|\w+)*)\)\$")
_ENDS = "at both ends a letter or digit"
PASTED: Mapping[str, str] = MappingProxyType(
    {
        common.REPOSITORY_FORM: "a repository's name, as in owner/name, and not its URL",
        sources.BUCKET_FORM: "a bucket's name alone, of letters, digits and . _ -, without a scheme before it or a folder behind it",
        sources.SERVER_FORM: "a server's URL, as in https://minio:9000, without a path or a login",
        sources.URL_FORM: "a URL, as in https://host/folder, without spaces or a login",
        sources.ARTIFACT_FORM: (
            "an artifact, as in registry/repository:tag or registry/repository@sha256:…, without a scheme as in oci://"
        ),
    }
)
"""Those of fields into which people paste what a browser or another tool shows."""
FORMS: Mapping[str, str] = MappingProxyType(
    {
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$": f"lower-case letters, digits, '-' and '.', {_ENDS}",
        r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$": f"letters, digits and . _ / -, {_ENDS}",
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": f"lower-case letters, digits and '-', {_ENDS}",
        r"^sha256:[a-f0-9]{64}$": "sha256: and 64 hexadecimal digits in lower case",
        r"^[a-f0-9]{64}$": "64 hexadecimal digits in lower case",
        r"^[a-f0-9]{8}$": "8 hexadecimal digits in lower case",
        r"^[A-Za-z0-9][A-Za-z0-9._/-]*$": "a branch, tag or commit, of letters, digits and . _ / -",
        r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$": "one word in CamelCase",
        r"^[-._a-zA-Z0-9]+$": "letters, digits and - . _",
        r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$": "a quantity, as in 20Gi",
        r"^[!-~]+$": "visible characters of ASCII, without spaces",
        r"^[a-z0-9][a-z0-9-]*$": "a region's name, as in eu-west-1",
        r"^(\*|(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f]*(:[0-9A-Fa-f.]*){2,7})$": (
            "a host without a port, *.domain for all of a domain, or *"
        ),
        **PASTED,
    }
)
"""What a pattern of the schema asks for."""


def in_words(error: ValidationError | Sequence[Any], within: str = "") -> str:
    """Where it is wrong and how, of the first few places.

    Args:
        error: of pydantic, or what it lists.
        within: where the value stands that was checked.
    """
    found = error.errors(include_input=False, include_url=False) if isinstance(error, ValidationError) else error
    return "; ".join(map(lambda one: _placed(one, within), found[:_NAMED_AT_MOST]))


def where(one: Any, within: str = "") -> str:
    """The field that one of pydantic's errors is about."""
    return ".".join([*filter(None, [within]), *map(str, one["loc"])])


def what(one: Any) -> str:
    """What one of pydantic's errors says."""
    if one["type"] != "string_pattern_mismatch":
        return str(one["msg"]).removeprefix("Value error, ")
    pattern = one["ctx"]["pattern"]
    if (listed := _ONE_OF.fullmatch(pattern)) is not None:
        return f"must be one of {', '.join(listed[1].split('|'))}"
    return f"must be {FORMS[pattern]}" if pattern in FORMS else "has a form that is not allowed"


def _placed(one: Any, within: str) -> str:
    place, said = where(one, within), what(one)
    return f"{place}: {said}" if place else said
