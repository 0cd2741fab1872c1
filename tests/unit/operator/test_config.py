"""Settings from the environment, and what is said when they are wrong."""

import pytest

from lora_api.v1alpha1.engine import AcceleratorType
from lora_operator import config

GOOD = {"LORA_OPERATOR_NAMESPACE": "lora-system", "LORA_OPERATOR_IMAGES": '{"CPU": "cpu:1", "Gaudi": "gaudi:1"}'}


def loaded(monkeypatch: pytest.MonkeyPatch, **changes: str) -> config.Config:
    for name, value in (GOOD | changes).items():
        monkeypatch.setenv(name, value)
    return config.load()


def test_images_are_a_json_map_by_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch).images == {AcceleratorType.CPU: "cpu:1", AcceleratorType.GAUDI: "gaudi:1"}


@pytest.mark.parametrize(("value", "namespaces"), [("", ()), ("a", ("a",)), ("a, b,", ("a", "b"))])
def test_namespaces_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, value: str, namespaces: tuple[str, ...]
) -> None:
    assert loaded(monkeypatch, LORA_OPERATOR_WATCH_NAMESPACES=value).watch_namespaces == namespaces


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORA_OPERATOR_NAMESPACE", raising=False)
    monkeypatch.setenv("LORA_OPERATOR_IMAGES", "{}")
    with pytest.raises(config.ConfigError, match=r"^LORA_OPERATOR_NAMESPACE: Field required$"):
        config.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LORA_OPERATOR_IMAGES", "cpu:1"),
        ("LORA_OPERATOR_IMAGES", '{"GPU": "x"}'),
        ("LORA_OPERATOR_IMAGE_PULL_POLICY", "Sometimes"),
        ("LORA_OPERATOR_HEALTH_PORT", "99999"),
        ("LORA_OPERATOR_LOG_FORMAT", "xml"),
        ("LORA_OPERATOR_ALLOW_HOST_PATH", "maybe"),
        ("LORA_OPERATOR_EGRESS", "example.com"),
        ("LORA_OPERATOR_EGRESS", '{"allowedAddresses": ["everywhere"]}'),
    ],
)
def test_a_wrong_value_is_told_in_one_line_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(config.ConfigError, match=name) as told:
        loaded(monkeypatch, **{name: value})
    assert "\n" not in str(told.value)
