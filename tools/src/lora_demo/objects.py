"""The objects of the demo: the local samples, with this machine's folders filled in."""

import string

import yaml

from lora_demo.place import ROOT, site_packages

SAMPLES = ROOT / "manifests" / "samples" / "local"


def manifest(model_folder: str) -> str:
    """The samples as one YAML text.

    Args:
        model_folder: the converted base model.
    """
    folders = {
        "MODEL_FOLDER": model_folder,
        "ADAPTERS_FOLDER": str(ROOT / "examples" / "adapters"),
        "SITE_PACKAGES": str(site_packages()),
    }
    texts = [string.Template(file.read_text()).substitute(folders) for file in sorted(SAMPLES.glob("*.yaml"))]
    return "\n---\n".join(texts)


def self_contained(text: str) -> str:
    """The same objects with one pod that borrows nothing from the node: for an image with everything in it."""
    objects = list(yaml.safe_load_all(text))
    for found in objects:
        if found["kind"] == "LoRAModel":
            del found["spec"]["podTemplate"]
            found["spec"]["replicas"] = 1
    return yaml.safe_dump_all(objects)
