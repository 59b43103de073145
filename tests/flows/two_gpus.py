"""A cluster of two GPUs that only seem to be there, in a process of its own: NVML is loaded once per process.

Started by test_cuda_cluster.py. The preload that proves a worker's GPU with a real kernel is left out, so no site could
be computed; what is shown is who is started where, with what.
"""

from __future__ import annotations

import json
import os
from typing import Any

from flows.clusters.contract import Size
from flows.clusters.cuda import count_gpus, start_workers
from flows.clusters.local import MachineCluster
from flows.clusters.look import ask
from flows.compute import Compute
from tests.flows.jobs import read_environment, sleep

NAMES = ("CUDA_VISIBLE_DEVICES", "PLATESTREAM_DEVICE", "OMP_NUM_THREADS", "PLATESTREAM_PLACE")


def preload(cluster: Any) -> list[object]:
    options = cluster.worker_spec[0]["options"]
    return [options["preload"], options["data"].__name__]


def main() -> None:
    gpus = count_gpus()
    with (
        start_workers(gpus, 4, told={"PLATESTREAM_PLACE": "here"}, preload="tests.flows.no_preload") as cluster,
        Compute(cluster.scheduler_address) as compute,
    ):
        client = compute.client()
        ours = MachineCluster(cluster, Size(0, gpus, 4))
        told = {
            "gpus": gpus,
            "threads": sorted(client.nthreads().values()),
            "environment": sorted(client.run(read_environment, *NAMES).values()),
            "preload": preload(cluster),
            "ran": [compute.submit(sleep, 0.01, key=f"site-{i}").result(60) for i in range(2)],
            "ended": ask(cluster.scheduler_address).ended,
            "names": sorted(ours.pids()),
        }
        print(json.dumps(told), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
