"""The reference of conditions and the constants say the same."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_api.v1alpha1 import common
from lora_api.v1alpha1.conditions import AdapterCondition, ModelCondition, Reason

DOCS = Path(__file__).resolve().parents[3] / "docs"
REFERENCE = DOCS / "reference" / "conditions.md"
TROUBLESHOOTING = DOCS / "troubleshooting.md"


def section(kind: str) -> str:
    """The part of the reference about one kind."""
    return REFERENCE.read_text().split(f"## {kind}\n", 1)[1].split("\n## ", 1)[0]


def rows(kind: str) -> Iterator[tuple[str, str]]:
    """First cell and the rest of each row of the kind's tables, headings left out."""
    for line in section(kind).splitlines():
        if found := re.fullmatch(r"\| \[?`(\w+)`\S* \|(.*)\|", line):
            yield found[1], found[2]


def test_every_reason_is_in_the_reference_and_no_other() -> None:
    conditions = {*AdapterCondition, *ModelCondition}
    documented = {name for kind in ("LoRAAdapter", "LoRAModel") for name, _ in rows(kind)}

    assert documented - conditions | {Reason.ACCEPTED} == set(Reason)


@pytest.mark.parametrize(("kind", "conditions"), [("LoRAAdapter", AdapterCondition), ("LoRAModel", ModelCondition)])
def test_the_conditions_of_a_kind_are_listed_in_their_order(
    kind: str, conditions: type[AdapterCondition] | type[ModelCondition]
) -> None:
    listed = [name for name, rest in rows(kind) if rest.count("|") == 0]

    assert listed == list(conditions)


@pytest.mark.parametrize(("kind", "conditions"), [("LoRAAdapter", AdapterCondition), ("LoRAModel", ModelCondition)])
def test_reasons_are_said_to_be_on_conditions_of_their_kind(
    kind: str, conditions: type[AdapterCondition] | type[ModelCondition]
) -> None:
    named = {
        name for _, rest in rows(kind) if rest.count("|") > 0 for name in re.findall(r"`(\w+)`", rest.split("|")[0])
    }

    assert named == set(conditions)


def entries() -> dict[str, str]:
    """What troubleshooting says about each reason."""
    text = TROUBLESHOOTING.read_text().split("\n## Alerts\n")[0]
    return dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE))


def test_troubleshooting_has_an_entry_for_every_reason_and_for_no_other() -> None:
    assert set(entries()) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_an_entry_is_more_than_a_heading_and_the_reference_leads_to_it(reason: Reason) -> None:
    assert len(entries()[reason].split()) >= 5
    assert f"[`{reason}`](../troubleshooting.md#{reason.lower()})" in REFERENCE.read_text()


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_has_the_form_that_conditions_take(reason: Reason) -> None:
    found = common.Condition(
        type="Ready", status="False", last_transition_time="2026-01-01T00:00:00Z", reason=reason, message=""
    )

    assert found.reason == reason
