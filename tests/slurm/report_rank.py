"""A training script reduced to what a launch decides: meets the other ranks and writes down who it is.

Arguments: the folder to write to, then whatever the launch passes on. Then it waits for a file ``go`` in that
folder, for ever if need be; the rank named by ``--fail-rank=RANK`` fails instead.
"""

import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed

folder, *arguments = sys.argv[1:]
torch.distributed.init_process_group("gloo")
rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
ranks = [torch.zeros(1, dtype=torch.long) for _ in range(world)]
torch.distributed.all_gather(ranks, torch.tensor([rank]))
report = {
    "rank": rank,
    "met": [int(each) for each in ranks],
    "node": os.environ["SLURMD_NODENAME"],
    "zero": os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE"),
    "threads": os.environ["OMP_NUM_THREADS"],
    "arguments": arguments,
}
restart = os.environ.get("SLURM_RESTART_COUNT", "0")
# Renamed when whole: the test reads as soon as the file is there.
part = Path(folder, f"part-{restart}-{rank}")
part.write_text(json.dumps(report))
part.rename(Path(folder, f"report-{restart}-{rank}.json"))
if f"--fail-rank={rank}" in arguments:
    sys.exit(3)
while not Path(folder, "go").exists():
    time.sleep(0.1)
torch.distributed.destroy_process_group()
