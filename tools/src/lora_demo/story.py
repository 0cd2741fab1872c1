"""The main job, shown: commands a person would type, and what really came back."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from local_cluster.cluster import Cluster
from lora_api import labels
from lora_demo.place import MODEL, NAMESPACE

QUESTION = "What is the largest desert?"
FRENCH = """\
apiVersion: lora-operator.io/v1alpha1
kind: LoRAAdapter
metadata: {name: french}
spec:
  modelRef: {name: smol}
  source: {volume: {name: adapters, path: french}}
"""
_SERVED_SECONDS = 60.0


class StoryError(Exception):
    """The demo did not show what it promises; the message says what was seen instead."""


class Story:
    """Runs one act after the other against a cluster where the samples are served."""

    def __init__(self, cluster: Cluster, url: str, console: Console) -> None:
        self._cluster = cluster
        self._url = url
        self._console = console

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Shows a kubectl command and what it prints."""
        self._console.print(f"\n[bold]$ kubectl {escape(' '.join(_quoted(a) for a in arguments))}[/bold]")
        for line in (stdin or "").splitlines():
            self._console.print(f"[dim]{escape(line)}[/dim]", soft_wrap=True)
        output = self._cluster.kubectl("-n", NAMESPACE, *arguments, stdin=stdin).rstrip()
        self._console.print(escape(output), soft_wrap=True)
        return output

    def ask(self, model: str, question: str = QUESTION, *, max_tokens: int = 40) -> str:
        """Asks a served name, shows the answer, and returns it."""
        answer = self._post(model, question, max_tokens)
        if answer.status_code != 200:
            raise StoryError(f"model={model} answered {answer.status_code}: {answer.text}")
        body = answer.json()
        if body["model"] != model:
            raise StoryError(f"asked model={model}, but the answer says model={body['model']}")
        text = str(body["choices"][0]["message"]["content"]).strip().replace("\n", " ")
        self._console.print(f"  [cyan]model={model:<15}[/cyan] {escape(text)}", soft_wrap=True)
        return text

    def ask_for_log_probabilities(self, model: str) -> None:
        """Asks for what kills a CPU engine that would need a compiler for it."""
        answer = self._post(model, QUESTION, 1, logprobs=True)
        if answer.status_code != 200 or not answer.json()["choices"][0]["logprobs"]["content"]:
            raise StoryError(f"no log-probabilities: {answer.status_code}: {answer.text}")

    def refused(self, model: str) -> None:
        """Shows that a name is not served (any more)."""
        self._until(f"model={model} to be gone", lambda: self._post(model, QUESTION, 1).status_code == 404)
        answer = self._post(model, QUESTION, 1)
        said = escape(answer.json()["error"]["message"])
        self._console.print(f"  [cyan]model={model:<15}[/cyan] {answer.status_code} {said}", soft_wrap=True)

    def ready(self, adapter: str) -> None:
        """Waits until an adapter's status says that every pod serves its generation."""
        self._cluster.kubectl(
            "-n",
            NAMESPACE,
            "wait",
            "--for=condition=Ready",
            f"loraadapter/{adapter}",
            f"--timeout={_SERVED_SECONDS:.0f}s",
        )

    def pods(self) -> dict[str, int]:
        """Names of the model's pods, and how often their containers were restarted."""
        chosen = ("-l", f"{labels.MODEL}={MODEL}")
        listed: dict[str, Any] = json.loads(
            self._cluster.kubectl("-n", NAMESPACE, "get", "pods", *chosen, "-o", "json")
        )
        return {
            pod["metadata"]["name"]: sum(c["restartCount"] for c in pod["status"].get("containerStatuses", ()))
            for pod in listed["items"]
        }

    def tell(self) -> None:
        """The acts, in order.

        Raises:
            StoryError: something was not as promised.
        """
        before = self.pods()
        self.kubectl("get", "loramodels,loraadapters")

        self._chapter(f"One question, four names: {QUESTION}")
        answers = {name: self.ask(name) for name in ("smol", "pirate", "formal", "polite-pirate")}
        if len(set(answers.values())) != len(answers):
            raise StoryError(f"two of the names answered the same: {answers}")

        self._chapter("Change a weight while it serves")
        patch = json.dumps({"spec": {"weight": 0.3}})
        self.kubectl("patch", "loraadapter", "pirate", "--type=merge", "-p", patch)
        self.ready("pirate")
        weaker = self.ask("pirate")
        if weaker == answers["pirate"]:
            raise StoryError("the answer did not change with the weight")
        self.kubectl("patch", "loraadapter", "pirate", "--type=merge", "-p", json.dumps({"spec": {"weight": 1.0}}))
        self.ready("pirate")
        if self.ask("pirate") != answers["pirate"]:
            raise StoryError("with the old weight the answer should be the old one")

        self._chapter("Add an adapter, remove another")
        self.add_and_remove()

        self._chapter("No pod was restarted")
        self.kubectl("get", "pods")
        if self.pods() != before:
            raise StoryError(f"pods and restarts were {before}, and are {self.pods()}")

    def add_and_remove(self) -> None:
        """Adds the adapter `french` and removes it, unless there is one: the tutorial has users make one of that name."""
        if self._cluster.kubectl("-n", NAMESPACE, "get", "loraadapter", "french", "--ignore-not-found", "-o", "name"):
            self._console.print("  not shown: there is a LoRAAdapter french of your own, which stays as it is")
            return
        self.kubectl("apply", "-f", "-", stdin=FRENCH)
        self.ready("french")
        self.ask("french")
        self.kubectl("delete", "loraadapter", "french")
        self.refused("french")

    def _chapter(self, title: str) -> None:
        self._console.rule(f"[bold]{escape(title)}", align="left")

    def _post(self, model: str, question: str, max_tokens: int, **options: object) -> httpx.Response:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": max_tokens,
            "temperature": 0,
            **options,
        }
        return httpx.post(f"{self._url}/chat/completions", json=body, timeout=120)

    def _until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _SERVED_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                raise StoryError(f"waited {_SERVED_SECONDS:.0f} s for {what}")
            time.sleep(0.05)


def _quoted(argument: str) -> str:
    return f"'{argument}'" if any(c in argument for c in ' {}"') else argument
