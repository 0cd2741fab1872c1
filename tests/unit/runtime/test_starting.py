"""A process that is told to end while it starts has ended at once, whatever becomes of the exceptions of its handlers."""

import signal
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from lora_runtime import starting

SWALLOWS = """
import subprocess, sys, time
from lora_runtime import starting
starting.end_at_once_when_told()
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", deaf])
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_children_even_where_exceptions_are_lost(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SWALLOWS], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"on\n"
            (child,) = psutil.Process(process.pid).children()
            process.send_signal(number)
            assert process.wait(10) == -number
            psutil.wait_procs([child], 10)
            assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
        finally:
            process.kill()


def test_vllms_own_handler_is_replaced_when_it_has_been_set() -> None:
    entry = SimpleNamespace(setup_server=lambda *arguments, **options: (arguments, options))
    starting.also_while_vllm_starts(entry)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert entry.setup_server("args", reuse_port=False) == (("args",), {"reuse_port": False})
        assert all(signal.getsignal(number) is not before[number] for number in before)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_where_the_engine_could_not_start_no_traceback_comes_behind_its_words() -> None:
    with (
        pytest.raises(SystemExit, match="could not start, for the reason above"),
        starting.with_the_engines_words_last(),
    ):
        raise RuntimeError("Engine core initialization failed. See root cause above. Failed core proc(s): {}")


def test_what_has_its_cause_in_itself_is_raised_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="no such device"), starting.with_the_engines_words_last():
        raise RuntimeError("no such device")
