"""Groups of processes that compute on the CPU."""

import subprocess
import sys
from pathlib import Path

_RANK = """
import sys
from pathlib import Path
import torch
from torch import distributed
from lora_runtime.engine import gloo_device

store, rank = distributed.FileStore(sys.argv[1], 2), int(sys.argv[2])
gloo_device.install()
gloo_device.install()
distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
groups = [distributed.new_group([0, 1], backend="gloo") for _ in range(4)]
for number, group in enumerate(groups):
    found = torch.tensor([float(rank + number)])
    distributed.all_reduce(found, group=group)
    assert found.item() == 1 + 2 * number, found
threads = [task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
backend = groups[0]._get_backend(torch.device("cpu"))
assert isinstance(backend, distributed.distributed_c10d.ProcessGroupGloo), type(backend)
print(threads.count("gloo_tcp_loop"))
distributed.barrier()
"""


def test_all_groups_of_a_process_share_one_thread_and_still_compute(tmp_path: Path) -> None:
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", _RANK, str(tmp_path / "store"), str(rank)], stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    assert [rank.communicate(timeout=60)[0] for rank in ranks] == ["1\n", "1\n"]
