"""The thread of the runtime ends with the process, and does not end it."""

import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_a_process_that_has_served_ends_without_a_complaint_although_its_file_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "adapters.yaml").write_text("# none")
    ended = subprocess.run([sys.executable, "-c", LINGERS, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "Error" not in ended.stderr
