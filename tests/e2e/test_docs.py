"""The tutorial and the first how-to, run as they stand there on a real node."""

import shutil
import sys
from pathlib import Path

from e2e.conftest import MODEL, NAMESPACE, World, a_blend, an_adapter, served_names
from local_cluster import binaries
from local_cluster.layout import cache_root
from local_cluster.progress import Silence
from support import snippets
from support.snippets import ROOT

DOCS = ROOT / "docs"


def run(page: Path, world: World, folder: Path, own: Path) -> dict[str, str]:
    """Runs a page of the demo's model in the demo's namespace, by a reader who is the administrator of this cluster.

    `folder` is where the reader stands; `own` is for the reader's kubeconfig, since pages choose the namespace in it.
    """
    kubeconfig = own / "kubeconfig"
    shutil.copy(world.cluster.kubeconfig, kubeconfig)
    programs = binaries.ensure(["kubectl"], cache_root(), Silence())["kubectl"].parent
    address = world.service_ip()
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "LORA_URL": f"http://{address}:8000/v1",
        "PATH": f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin",
        "NO_PROXY": address,
    }
    world.cluster.kubectl(
        "--kubeconfig", str(kubeconfig), "config", "set-context", "--current", f"--namespace={NAMESPACE}"
    )
    return snippets.run(page, folder, environment, means={"smol": MODEL, "lora-demo": NAMESPACE})


def test_the_tutorial_is_true(clean: World, tmp_path: Path) -> None:
    for number, name in enumerate(("pirate", "formal", "french"), 51):
        clean.adapter_files(name, seed=number)
    clean.apply(an_adapter("pirate", "pirate"), an_adapter("formal", "formal"))
    clean.apply(a_blend("polite-pirate", [("pirate", 0.7), ("formal", 0.5)]))
    clean.ready("pirate", "formal", "polite-pirate")
    restarts = clean.restarts()

    told = run(DOCS / "tutorial.md", clean, ROOT, tmp_path)

    assert "polite-pirate" in told["1. A cluster of your own"]
    asked, changed = told["2. Ask"], told["3. Change it while it serves"]
    strong = changed.split("revision", 1)[1].split("\n", 1)[1].split("NAME", 1)[0]
    assert strong in asked, "with the old weight, the old voice"
    assert strong not in changed.split("condition met\n", 1)[1].split("pirate scaled")[0], "the change must be heard"
    mistake = told["6. Make a mistake"]
    assert "SourceNotFound" in mistake
    assert "exit status" in mistake
    assert told["4. Add one"].split("condition met\n", 1)[1] in mistake, "clients have noticed nothing"
    left = {MODEL, "pirate", "formal", "polite-pirate"}
    clean.until("what was taken away to be gone", lambda: served_names(clean) == left)
    assert clean.restarts() == restarts


def test_the_how_to_for_adapters_is_true(clean: World, tmp_path: Path) -> None:
    repo = clean.hub.repo("your-team/pirate")
    first = repo.commit(clean.folder / "adapters" / "a", branch="v3")
    repo.commit(clean.folder / "adapters" / "b", branch="v4")

    told = run(DOCS / "how-to" / "adapters.md", clean, tmp_path, tmp_path)

    assert told["Change"].count("condition met") == 1
    assert first in told["Roll back"]
    assert "deleted" in told["Remove"]
    clean.until("the name to be gone", lambda: served_names(clean) == {MODEL})
