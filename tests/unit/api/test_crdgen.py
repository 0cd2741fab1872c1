"""The committed CRDs are what the types say, and obey the conventions of Kubernetes' API."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lora_api import crdgen

ROOT = Path(__file__).resolve().parents[3]
CRDS = {kind.type.kind: crdgen.crd(kind) for kind in crdgen.KINDS}


def version_of(kind: str) -> dict[str, Any]:
    """The one version of a kind's CRD."""
    (version,) = CRDS[kind]["spec"]["versions"]
    found: dict[str, Any] = version
    return found


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema, with its path."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from fields(field, f"{path}.{name}")
    if "items" in schema:
        yield from fields(schema["items"], f"{path}[]")


ALL_FIELDS = [
    (f"{kind}{path}", field)
    for kind in CRDS
    for part in ("spec", "status")
    for path, field in fields(version_of(kind)["schema"]["openAPIV3Schema"]["properties"][part], f".{part}")
]


def is_bounded(field: dict[str, Any]) -> bool:
    """Whether the field says how large its value can get."""
    enough = {
        "string": {"maxLength", "enum", "format"},
        "array": {"maxItems"},
        "object": {"properties", "x-kubernetes-preserve-unknown-fields"},
    }
    return not enough.get(field["type"], set()).isdisjoint(field) or field["type"] in ("integer", "number", "boolean")


def test_the_committed_files_are_what_the_types_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    assert crdgen.differing(crdgen.generated(crdgen.FOLDERS, crdgen.REFERENCE)) == [], (
        "run `make gen` and commit the result"
    )


AS_OF_THE_BASE = ("spec.mixture.source.huggingFace", "spec.mixture.source.volume")


def test_every_field_is_in_the_reference_once_where_it_belongs() -> None:
    page = crdgen.reference_page()

    for kind in CRDS:
        part = page.split(f"\n## {kind}\n", 1)[1].split("\n## ", 1)[0]
        sections = re.findall(r"^#+ (\S+)$", part, re.MULTILINE)
        assert len(sections) == len(set(sections))
        for path, field in fields(version_of(kind)["schema"]["openAPIV3Schema"]["properties"]["spec"], "spec"):
            is_shown_elsewhere = path.endswith(("gcs.etags", "http.etags")) or path in AS_OF_THE_BASE
            if "properties" in field and set(field["properties"]) != {"name"} and not is_shown_elsewhere:
                section = re.split(r"\n#+ ", part.split(f"# {kind}.{path}\n", 1)[1], maxsplit=1)[0]
                assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == list(field["properties"])


def test_a_file_that_differs_is_named_and_then_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crdgen.main(["--check", "--out", str(tmp_path)]) == 1
    assert "loraadapters.yaml" in capsys.readouterr().err

    assert crdgen.main(["--out", str(tmp_path)]) == 0
    assert crdgen.main(["--check", "--out", str(tmp_path)]) == 0
    assert yaml.safe_load((tmp_path / "loramodels.yaml").read_text()) == CRDS["LoRAModel"]


def test_every_field_is_bounded() -> None:
    """Without bounds the API server cannot bound the cost of a rule, and a client can fill etcd."""
    assert [path for path, field in ALL_FIELDS if not is_bounded(field)] == []


NAMED_FIELDS = [(path, field) for path, field in ALL_FIELDS if not path.endswith("[]")]
JARGON = ("desired document", "inventory", "tier", "flip", "registered", "published", "pydantic", "snapshot", "metav1")
"""Words of the house: who reads `kubectl explain` does not know them."""


def test_every_field_says_what_it_means_in_a_sentence() -> None:
    """As `kubectl explain` shows it, which has no other words for a field."""
    descriptions = {path: str(field.get("description", "")) for path, field in NAMED_FIELDS}

    assert [path for path, text in descriptions.items() if not re.fullmatch(r"[A-Z`].*\.", text)] == []
    assert [path for path, text in descriptions.items() if len(text.split()) < 4] == []


@pytest.mark.parametrize("word", JARGON)
def test_no_field_is_explained_in_words_of_the_house(word: str) -> None:
    assert [path for path, field in NAMED_FIELDS if re.search(rf"\b{word}", field["description"], re.IGNORECASE)] == []


@pytest.mark.parametrize("kind", CRDS)
def test_conditions_are_a_map_by_type_and_come_first_in_the_status(kind: str) -> None:
    status = version_of(kind)["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]

    assert next(iter(status)) == "conditions"
    assert status["conditions"]["x-kubernetes-list-type"] == "map"
    assert status["conditions"]["x-kubernetes-list-map-keys"] == ["type"]


@pytest.mark.parametrize("kind", CRDS)
def test_rules_tell_what_must_hold(kind: str) -> None:
    schema = version_of(kind)["schema"]["openAPIV3Schema"]
    messages = [rule["message"] for _, field in fields(schema) for rule in field.get("x-kubernetes-validations", ())]

    assert messages
    for message in messages:
        assert {"must", "may"} & set(message.split()), message


def test_no_phase_is_shown() -> None:
    assert not any(
        column["name"] == "Phase" for kind in CRDS for column in version_of(kind)["additionalPrinterColumns"]
    )


@pytest.mark.parametrize("path", [path for path, _ in ALL_FIELDS if ".spec" in path])
def test_no_wish_names_another_namespace(path: str) -> None:
    assert "namespace" not in path.lower()
