"""What `make demo` waits for."""

from typing import Any

from lora_demo.waiting import states_of

MANIFEST = """
kind: Namespace
metadata: {name: lora-demo}
---
kind: LoRAModel
metadata: {name: smol}
---
kind: LoRAAdapter
metadata: {name: pirate}
"""


def listed(kind: str, name: str, status: str, *, generation: int = 1) -> dict[str, Any]:
    ready = {"type": "Ready", "status": status, "reason": "Why", "message": "so", "observedGeneration": 1}
    return {"kind": kind, "metadata": {"name": name, "generation": generation}, "status": {"conditions": [ready]}}


def test_a_user_s_own_broken_objects_do_not_hold_up_the_demo() -> None:
    found = [
        listed("LoRAModel", "smol", "True"),
        listed("LoRAAdapter", "pirate", "True"),
        listed("LoRAAdapter", "mine", "False"),
        listed("LoRAModel", "pirate", "False"),
    ]
    assert states_of(MANIFEST, found) == {"LoRAModel/smol": "Ready: so", "LoRAAdapter/pirate": "Ready: so"}


def test_what_is_not_ready_not_seen_or_not_there_is_waited_for() -> None:
    found = [listed("LoRAModel", "smol", "False")]
    assert states_of(MANIFEST, found) == {
        "LoRAModel/smol": "Why: so",
        "LoRAAdapter/pirate": "not there: somebody has removed it",
    }
    found = [listed("LoRAModel", "smol", "True", generation=2), listed("LoRAAdapter", "pirate", "True")]
    assert states_of(MANIFEST, found)["LoRAModel/smol"] == "not seen by the operator yet"
