"""`kubectl lora` against a real API server and operator, with stand-ins for the pods."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cluster import Cluster
from lora_api.error_codes import ErrorCode
from lora_api.runtime_api import AdapterFacts, ResolveRequest
from lora_api.v1alpha1.conditions import Reason
from lora_cli.clients.kube import Kube
from lora_cli.clients.objects import ADAPTERS, Objects
from lora_cli.errors import EXIT_STATUS, UNDECIDED, USAGE, Failed
from lora_runtime.adapters.errors import incompatible, not_fetched
from lora_runtime.workshop import Progress
from support.command_line import CommandLine
from support.custom_resources import MIXTURE, MODEL, mutated
from support.hub import running_hub
from support.models import tiny_adapter, tiny_base
from support.operated import Operator, Team, eventually
from support.stand_in import EverySourceExists

pytestmark = pytest.mark.apiserver

ROOT = Path(__file__).resolve().parents[2]
NOT_FOUND, FORBIDDEN = EXIT_STATUS[ErrorCode.NOT_FOUND], EXIT_STATUS[ErrorCode.FORBIDDEN]
INVALID, CONFLICT = EXIT_STATUS[ErrorCode.INVALID], EXIT_STATUS[ErrorCode.CONFLICT]
INCOMPATIBLE, NOT_READY = EXIT_STATUS[ErrorCode.INCOMPATIBLE], EXIT_STATUS[ErrorCode.NOT_READY]


class Workshop(EverySourceExists):
    """Finds no source whose name has `missing` in it, and none that fits with `misfit` in it."""

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        words = request.source.describe()
        if "missing" in words:
            raise not_fetched(Reason.SOURCE_NOT_FOUND, "there is no such repository", retryable=False)
        if "misfit" in words:
            raise incompatible(Reason.SHAPE_MISMATCH, "tensor q_proj.lora_A is [8, 64], the base model needs [8, 128]")
        return await super().resolve(request, progress)


@pytest.fixture
def lora(api_server: Cluster, namespace: str) -> CommandLine:
    return CommandLine(api_server.kubeconfig, namespace)


@pytest.fixture
def served(api_server: Cluster, team: Team, namespace: str, tmp_path: Path) -> Iterator[Team]:
    """The model `smol` with one pod and an operator at work."""
    with Operator(api_server, namespace, tmp_path).running(), contextlib.ExitStack() as pods:
        team.create(MODEL)
        for runtime in team.runtimes(tmp_path, Workshop()):
            pods.enter_context(runtime)
        team.comes_to("loramodels", "smol", "Ready", ("True", "Serving"))
        yield team


def spec_of(lora: CommandLine, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = lora("describe", name, "-o", "json").data["spec"]
    return spec


def test_an_adapter_is_added_scaled_blended_rolled_back_and_removed(served: Team, lora: CommandLine) -> None:
    added = lora.does("add", "pirate", "--model", "smol", "--from", "hf://team/pirate@v1", "--weight", "0.5", "--wait")
    assert added.startswith("loraadapter pirate added; revision ")
    assert added.endswith(" is served by 1/1 pods\n")
    assert "✓ ready: " in lora.does("describe", "pirate")
    first = served.status("loraadapters", "pirate")["revision"]

    assert "scaled to 0.8; revision" in lora.does("scale", "pirate", "0.8", "--wait")
    assert lora("scale", "pirate", "11").status == INVALID
    assert lora("scale", "nobody", "1").status == NOT_FOUND

    lora.does("add", "pirate", "--model", "smol", "--from", "hf://team/pirate@v2", "--replace", "--wait")
    assert (spec_of(lora, "pirate")["source"]["huggingFace"]["revision"], spec_of(lora, "pirate")["weight"]) == (
        "v2",
        0.8,
    )
    assert lora("add", "pirate", "--model", "other", "--from", "hf://team/pirate", "--replace").status == INVALID
    lora.does("add", "formal", "--model", "smol", "--from", "s3://bucket/formal?region=eu-west-1")
    lora.does("blend", "mix", "pirate=0.7", "formal=0.5", "--wait")
    lora.does("blend", "mix", "pirate=0.3", "formal", "--wait")
    assert [member["weight"] for member in spec_of(lora, "mix")["blend"]["members"]] == [0.3, 1]
    assert lora("blend", "pirate", "formal=1").status == CONFLICT

    status = lora.does("status").splitlines()
    assert [line.split()[0] for line in status if line] == ["MODEL", "smol", "ADAPTER", "formal", "mix", "pirate"]
    listed = lora("status", "-o", "json").data
    assert sorted(item["metadata"]["name"] for item in listed["items"]) == ["formal", "mix", "pirate", "smol"]
    assert yaml.safe_load(lora.does("status", "-o", "yaml")) == listed

    history = lora("history", "pirate", "-o", "json").data
    assert [entry["weight"] for entry in history] == [0.8, 0.8, 0.5]
    assert first in lora.does("rollback", "pirate", "--to", first, "--wait")
    assert served.status("loraadapters", "pirate")["revision"] == first
    assert spec_of(lora, "pirate")["weight"] == 0.5
    assert lora("rollback", "pirate", "--to", "ffffffff").status == NOT_FOUND
    assert "members are as they are now" in lora("rollback", "mix").err

    assert lora.does("rm", "mix") == "loraadapter mix removed\n"
    assert lora("clear", "--model", "smol", stdin="n\n").status == 1, "it asks first"
    lora.does("clear", "--model", "smol", "--yes")
    assert lora("status", "-o", "json").data["items"][1:] == []
    assert "has no adapters" in lora.does("clear", "--model", "smol")
    assert lora("clear", "--model", "smoll").status == NOT_FOUND


@pytest.mark.parametrize("words", [("scale", "pirate", "1"), ("blend", "mix", "pirate", "formal=2")])
def test_the_same_wish_again_is_no_edit(team: Team, lora: CommandLine, words: tuple[str, ...]) -> None:
    team.create(MODEL)
    lora.does("add", "pirate", "--model", "smol", "--from", "hf://team/pirate")

    def generation() -> int:
        lora.does(*words)
        return int(lora("describe", words[1], "-o", "json").data["metadata"]["generation"])

    assert generation() == generation()


def test_what_is_refused_ends_with_its_code_the_words_of_the_pod_and_what_to_type(
    served: Team, lora: CommandLine
) -> None:
    refused = lora("add", "pirate", "--model", "smol", "--from", "hf://team/misfit", "--wait")
    assert refused.status == INCOMPATIBLE
    assert "Incompatible: pirate is not ready: ShapeMismatch: tensor q_proj.lora_A is [8, 64]" in refused.err
    assert f"kubectl lora rm pirate -n {lora.namespace}" in refused.err
    described = lora.does("describe", "pirate")
    assert "✗ not ready: ShapeMismatch" in described
    assert "trained on another base model" in described

    gone = lora("add", "ghost", "--model", "smol", "--from", "hf://team/missing", "--wait")
    assert (gone.status, "SourceNotFound" in gone.err) == (NOT_FOUND, True)
    assert lora("add", "pirate", "--model", "smol", "--from", "hf://team/pirate").status == CONFLICT
    assert lora("add", "x", "--model", "smol", "--from", "ftp://host/x").status == INVALID
    assert lora("add", "x", "--model", "smol").status == USAGE
    found = lora("doctor")
    assert found.status == NOT_FOUND, "the status of what is wrong first"
    assert "✗ pirate is not ready: ShapeMismatch" in found.out


def test_a_bad_update_is_undone_by_going_back_to_what_is_served(served: Team, lora: CommandLine) -> None:
    lora.does("add", "pirate", "--model", "smol", "--from", "hf://team/pirate", "--wait")
    revision = served.status("loraadapters", "pirate")["revision"]
    served.patch("loraadapters", "pirate", {"spec": {"source": {"huggingFace": {"repo": "team/misfit"}}}})
    served.comes_to("loraadapters", "pirate", "Ready", ("False", "ShapeMismatch"))
    assert f"clients get revision {revision} meanwhile, from 1 of 1 pods" in lora.does("describe", "pirate")

    lora.does("rollback", "pirate", "--wait")

    assert spec_of(lora, "pirate")["source"]["huggingFace"]["repo"] == "team/pirate"
    assert served.status("loraadapters", "pirate")["revision"] == revision


def test_waiting_ends_in_time_and_a_dry_run_changes_nothing(team: Team, lora: CommandLine) -> None:
    team.create(MODEL)
    tried = lora.does("add", "pirate", "--model", "smol", "--from", "models/pirate", "--dry-run=server", "--wait")
    assert tried == "loraadapter pirate added (server dry run)\n"
    assert lora("describe", "pirate").status == NOT_FOUND
    assert lora.completions("describe", "-n", lora.namespace, "s") == [], "adapters are offered, not models"
    assert lora.completions("add", "x", "-n", lora.namespace, "--model", "s") == ["smol"]
    late = lora("add", "pirate", "--model", "smol", "--from", "models/pirate", "--wait", "--timeout", "1")
    assert late.status == NOT_READY
    assert "the operator has not seen it yet (waited 1 s)" in late.err
    lora.does("scale", "pirate", "0.5", "--dry-run=server")
    lora.does("rm", "pirate", "--dry-run=server")
    assert spec_of(lora, "pirate")["weight"] == 1

    found = lora("doctor")
    assert found.status == EXIT_STATUS[ErrorCode.UNREACHABLE]
    assert "no operator has looked at the last edits of smol, pirate" in found.out


def test_an_adapter_on_the_hub_is_held_against_a_base_model_on_the_hub(
    team: Team, lora: CommandLine, tmp_path: Path
) -> None:
    base = tiny_base(tmp_path / "base")
    team.create(MODEL)
    with running_hub() as hub:
        hub.repo("team/smol").commit(base)
        hub.repo("team/pirate").commit(tiny_adapter(tmp_path / "pirate", base, seed=1), subfolder="v1")
        reading = replace(lora, more={"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hub")})

        fits = reading.does("validate", "hf://team/pirate/v1", "--model", "smol")
        assert fits.startswith("✓ hf://team/pirate/v1 fits smol")
        assert "checked: the API server takes the object, from you" in fits
        absent = reading("validate", "./nothing", "--model", "smol")
        assert (absent.status, "nothing" in absent.err) == (NOT_FOUND, True)
        missing = reading("validate", "hf://team/nothing", "--model", "smol")
        assert (missing.status, "team/nothing@main cannot be read from here" in missing.err) == (NOT_FOUND, True)

        hub.repo("team/smol").token = "secret"
        newcomer = replace(reading, more={**reading.more, "HF_HOME": str(tmp_path / "empty")})
        undecided = newcomer("validate", str(tmp_path / "pirate"), "--model", "smol", "-o", "json")
        assert (undecided.status, undecided.data["verdict"]) == (UNDECIDED, "Undecided")
        assert "team/smol@main cannot be read from here" in undecided.err
    assert lora("status", "-o", "json").data["items"][1:] == [], "nothing was applied"


def test_a_patch_for_an_object_that_has_changed_is_a_conflict(team: Team, lora: CommandLine) -> None:
    lora.does("add", "pirate", "--model", "smol", "--from", "models/pirate")
    objects = Objects(Kube.connect(lora.kubeconfig, None, lora.namespace))
    stale = [
        {"op": "test", "path": "/metadata/generation", "value": 9},
        {"op": "add", "path": "/spec/weight", "value": 2},
    ]
    with pytest.raises(Failed, match="has changed pirate meanwhile") as failed:
        objects.patch(ADAPTERS, "pirate", stale)
    assert failed.value.code is ErrorCode.CONFLICT
    with pytest.raises(Failed, match="should be less than or equal to 10") as failed:
        objects.patch(ADAPTERS, "pirate", [{"op": "add", "path": "/spec/weight", "value": 11}])
    assert failed.value.code is ErrorCode.INVALID


def test_in_the_wrong_namespace_a_name_is_sent_to_the_others(lora: CommandLine) -> None:
    assert f"no LoRAModels in namespace {lora.namespace}" in lora.does("status")
    missing = lora("describe", "pirate")
    assert missing.status == NOT_FOUND
    assert f"LoRAModel pirate in namespace {lora.namespace}" in missing.err
    assert "kubectl lora status --all-namespaces" in missing.err


def test_whoever_watches_sees_each_change(team: Team, lora: CommandLine) -> None:
    team.create(MODEL)
    with lora.watching("status", "--watch") as printed:
        eventually("the model", lambda: "smol" in printed())
        assert f"no LoRAAdapters in namespace {lora.namespace}" in printed()
        lora.does("add", "pirate", "--model", "smol", "--from", "models/pirate")
        eventually("the adapter", lambda: printed().splitlines()[-1].startswith("pirate"))
        lora.does("rm", "pirate")
        eventually("its end", lambda: printed().splitlines()[-1] == f"no LoRAAdapters in namespace {lora.namespace}")


READER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [lora-operator.io], resources: [loramodels, loraadapters], verbs: [get, list, watch]}]
"""


def test_a_reader_reads_and_is_told_what_else_is_needed(
    api_server: Cluster, team: Team, lora: CommandLine, tmp_path: Path
) -> None:
    team.create(MODEL)
    reader = CommandLine(login(api_server, lora.namespace, READER, tmp_path), lora.namespace)
    assert "smol" in reader.does("status")
    refused = reader("add", "pirate", "--model", "smol", "--from", "models/pirate")
    assert (refused.status, "cannot create resource" in refused.err) == (FORBIDDEN, True)
    found = reader("doctor")
    assert found.status == FORBIDDEN
    assert "✗ you may not create services/proxy" in found.out
    assert "✗ you may not patch loraadapters.lora-operator.io" in found.out


def test_the_role_in_the_documentation_is_enough(
    api_server: Cluster, team: Team, lora: CommandLine, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "how-to" / "kubectl-lora.md").read_text(encoding="utf-8")
    [role] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    user = CommandLine(login(api_server, lora.namespace, role, tmp_path), lora.namespace)
    team.create(MODEL)
    user.does("add", "pirate", "--model", "smol", "--from", "models/pirate")
    user.does("scale", "pirate", "0.5")
    user.does("describe", "pirate")
    user.does("rm", "pirate")
    assert "✓ you may do all that the commands need" in user("doctor").out
    team.create(mutated(MIXTURE, {"metadata.name": "mixed", "spec.mixture.scalingsKept": 4}))
    told = user("doctor").out
    assert "you may not list pods in namespace" in told
    assert "you may not get pods/proxy in namespace" in told
    assert "needed for scalings of mixed" in told


def test_a_kubeconfig_that_is_not_there_or_leads_nowhere_is_said(tmp_path: Path) -> None:
    nowhere = CommandLine(tmp_path / "none", "default")("status")
    assert (nowhere.status, "--kubeconfig" in nowhere.err) == (EXIT_STATUS[ErrorCode.NOT_FOUND], True)


def login(cluster: Cluster, namespace: str, role: str, folder: Path) -> Path:
    """A kubeconfig of somebody who has this Role and nothing else."""
    name: str = yaml.safe_load(role)["metadata"]["name"]
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=role)
    cluster.kubectl("-n", namespace, "create", "serviceaccount", name)
    cluster.kubectl(
        "-n", namespace, "create", "rolebinding", name, f"--role={name}", f"--serviceaccount={namespace}:{name}"
    )
    token = cluster.kubectl("create", "token", name, "-n", namespace).strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = folder / name
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    eventually("the role", lambda: CommandLine(path, namespace)("status").status == 0)
    return path
