"""The thread of the runtime ends with the process, and does not end it."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.runtime_process import free_port

LINGERS = """
import os, sys, threading, time
from lora_runtime import core
from lora_runtime.standalone import command, instead_of_a_pod
folder = sys.argv[1]
typed = command.read(["--model", folder, "--state", folder + "/state", "--desired", folder + "/adapters.yaml"], os.environ)
running = core.start(*instead_of_a_pod.prepare(typed, os.environ))
# Meanwhile the interpreter ends, and takes no more work for threads.
threading.Thread(target=time.sleep, args=(2,)).start()
running.end()
"""

WAITED_FOR = """
import http.client, os, sys, time
from lora_runtime import core
from lora_runtime.config import Settings
folder, port = sys.argv[1:]
os.environ |= {
    "LORA_MODEL_SOURCE": '{"huggingFace": {"repo": "team/model"}}', "LORA_SERVED_NAME": "model", "LORA_MAX_RANK": "8",
    "LORA_STORE": folder, "LORA_TLS_DIR": "none", "LORA_ADMIN_HOST": "127.0.0.1", "LORA_ADMIN_PORT": port,
}
running = core.start(Settings())
waiting, other = (http.client.HTTPConnection("127.0.0.1", int(port)) for _ in range(2))
deadline = time.monotonic() + 20
while True:
    try:
        waiting.connect()
        break
    except ConnectionRefusedError:
        assert time.monotonic() < deadline
        time.sleep(0.05)
waiting.request("GET", "/v1/inventory?wait=20&after=" + running.service.inventory().etag)
# What is answered here came in later.
other.request("GET", "/v1/inventory")
assert other.getresponse().status == 200
try:
    sys.exit("no such flag")
finally:
    running.end()
"""


@pytest.mark.slow
def test_a_process_that_has_served_ends_without_a_complaint_although_its_file_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "adapters.yaml").write_text("# none")
    ended = subprocess.run([sys.executable, "-c", LINGERS, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "Error" not in ended.stderr


@pytest.mark.slow
def test_the_last_words_of_a_process_are_its_own_although_somebody_waits_for_its_news(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WAITED_FOR, str(tmp_path), str(free_port())]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (1, "no such flag\n")
