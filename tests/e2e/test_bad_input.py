"""What is wrong is said where it is declared, and nobody else notices."""

import torch
from safetensors.torch import load_file, save_file

from e2e.conftest import World, an_adapter, open_to_all
from e2e.test_live_change import serves


def wrong_base(world: World) -> str:
    """An adapter that was trained on a wider model."""
    name = world.adapter_files("wrong", seed=3)
    file = world.folder / "adapters" / name / "adapter_model.safetensors"
    tensors = load_file(file)
    key = sorted(k for k in tensors if k.endswith("q_proj.lora_A.weight"))[0]
    tensors[key] = torch.zeros(tensors[key].shape[0], 256)
    save_file(tensors, file)
    open_to_all(file.parent)
    return name


def test_an_adapter_of_another_base_is_refused_by_name_and_shape_and_the_others_serve_on(clean: World) -> None:
    clean.apply(an_adapter("a", "a"))
    clean.ready("a")
    restarts = clean.restarts()
    clean.apply(an_adapter("broken", wrong_base(clean)))
    clean.until("the refusal", lambda: clean.condition("broken", "Compatible").get("status") == "False")
    refusal = clean.condition("broken", "Compatible")
    assert refusal["reason"] == "ShapeMismatch"
    assert "q_proj.lora_A.weight" in refusal["message"]
    assert "[8, 256]" in refusal["message"]
    assert "[8, 128]" in refusal["message"]
    assert clean.condition("broken", "Ready")["reason"] == "ShapeMismatch"
    assert clean.complete("broken").status_code == 503
    serves(clean, "a", ("a", 1.0))
    assert clean.restarts() == restarts


def test_a_bad_update_leaves_the_old_revision_serving(clean: World) -> None:
    clean.apply(an_adapter("a", "a"))
    clean.ready("a")
    clean.patch("a", {"source": {"volume": {"name": "adapters", "path": wrong_base(clean)}}})
    clean.until("the refusal", lambda: clean.condition("a", "Ready").get("reason") == "ShapeMismatch")
    assert clean.condition("a", "Available")["status"] == "True"
    assert clean.condition("a", "Ready")["status"] == "False"
    serves(clean, "a", ("a", 1.0))
    clean.patch("a", {"source": {"volume": {"name": "adapters", "path": "b"}}})
    clean.ready("a")
    serves(clean, "a", ("b", 1.0))


def test_a_missing_folder_says_which_and_what_is_there(clean: World) -> None:
    clean.apply(an_adapter("typo", "pirat"))
    clean.until("the refusal", lambda: clean.condition("typo", "Fetched").get("status") == "False")
    refusal = clean.condition("typo", "Fetched")
    assert refusal["reason"] == "SourceNotFound"
    assert "pirat" in refusal["message"]
    clean.adapter_files("pirat", seed=4)
    clean.ready("typo")


def test_files_that_the_pods_may_not_read_are_named_and_served_as_soon_as_they_may(clean: World) -> None:
    file = clean.folder / "adapters" / clean.adapter_files("closed", seed=5) / "adapter_model.safetensors"
    file.chmod(0o600)
    clean.apply(an_adapter("closed", "closed"))
    clean.until("the refusal", lambda: clean.condition("closed", "Fetched").get("status") == "False")
    refusal = clean.condition("closed", "Fetched")
    assert refusal["reason"] == "Unauthorized"
    assert "adapter_model.safetensors" in refusal["message"]
    file.chmod(0o644)
    clean.ready("closed")


def test_an_unknown_name_is_404(world: World) -> None:
    answer = world.complete("nobody")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "NotFoundError"
