"""The objects of the demo: the local samples, with this machine's folders filled in."""

import string

import yaml

from lora_demo.place import ROOT, site_packages
from lora_examples import checkpoint

SAMPLES = ROOT / "manifests" / "samples" / "local"
_VOICES = "40-voices.yaml"


def manifest(model_folder: str) -> str:
    """The samples as one YAML text, but for the mixture.

    Args:
        model_folder: the converted base model.
    """
    files = sorted(file for file in SAMPLES.glob("*.yaml") if file.name != _VOICES)
    return "\n---\n".join(_filled(file.name, model_folder) for file in files)


def mixture(model_folder: str) -> str:
    """The X-LoRA of the demo's adapters, which has pods of its own."""
    return _filled(_VOICES, model_folder)


def _filled(sample: str, model_folder: str) -> str:
    folders = {
        "MODEL_FOLDER": model_folder,
        "ADAPTERS_FOLDER": str(ROOT / "examples" / "adapters"),
        "MIXTURE_FOLDER": str(checkpoint.assembled()),
        "SITE_PACKAGES": str(site_packages()),
    }
    return string.Template((SAMPLES / sample).read_text()).substitute(folders)


def self_contained(text: str) -> str:
    """The same objects with one pod that borrows nothing from the node: for an image with everything in it."""
    objects = list(yaml.safe_load_all(text))
    for found in objects:
        if found["kind"] == "LoRAModel":
            del found["spec"]["podTemplate"]
            found["spec"]["replicas"] = 1
    return yaml.safe_dump_all(objects)
