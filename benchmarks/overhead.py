"""What a site costs beside its pixels: planning, Dask, Prefect, records; and, apart from that, its storage.

1,232 sites of one tiny image each go the real way: Prefect server, Dask cluster with one worker, the flow in a process
of its own. Only the measuring is left out. The CPU time of all processes is counted.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tifffile

from benchmarks.results_file import measure, write_result
from flows.cluster import cluster_service
from flows.server import client_variables, prefect_environment, server_service
from flows.settings import Settings
from flows.supervise import Supervisor, find_free_ports
from imaging.experiment import read_experiment
from imaging.job import open_job
from imaging.measure import measure_planes
from imaging.measure_cells import NOT_MEASURED
from imaging.projection import publish_and_project
from imaging.site import SiteMeasurement, SiteOutcome, SiteTask, process_site, write_part
from imaging.store import FolderStore, Store, open_store
from imaging.zarr_site import write_site

EXPERIMENT = """
name: bench
channels: [{name: DNA, role: nucleus, full_scale: 255}]
layout: {wells: 384, imaged: [B02-O23], sites: 4}
files: {pattern: '(?P<well>[A-P][0-9]{2})_s(?P<site>[0-9])[.]tif'}
images: none
"""
SITES = 1232


def measure_nothing(planes: dict[str, Any], pins: Any) -> SiteMeasurement:
    """No numbers, but all the records of a site."""
    rows = tuple({"channel": name} for name in planes)
    return SiteMeasurement(rows, {"Nuclei": 0, "Cells": 0}, *NOT_MEASURED, {}, np.zeros((1, 1, 1), np.uint8), 1)


def measure_site(task: SiteTask) -> SiteOutcome:
    """A site's task without its measuring."""
    return process_site(task, measure_nothing)


def upload(store: Store) -> None:
    """Declare the experiment and upload its images."""
    store.write("experiments/bench/experiment.yaml", EXPERIMENT.encode())
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.arange(256, dtype=np.uint8).reshape(16, 16))
    for well, site in read_experiment(EXPERIMENT.encode()).expected_sites():
        store.write(f"raw/bench/P1/{well}_s{site}.tif", buffer.getvalue())


def bench_overhead() -> dict[str, Any]:
    """Run one plate through server, cluster and flow; return CPU milliseconds per site, by process."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        server, scheduler = find_free_ports(2)
        settings = Settings(
            store=str(folder / "data"),
            api_url=f"http://127.0.0.1:{server}/api",
            scheduler=f"tcp://127.0.0.1:{scheduler}",
            state_folder=folder / "state",
            workers=1,
            linger_s=0.0,
            settle_s=0.0,
        )
        upload(open_store(settings.store))
        services = [
            server_service(settings, server, folder / "server.log"),
            cluster_service(settings, folder / "cluster.log"),
        ]
        with Supervisor(services) as supervisor:
            supervisor.wait_until_ready()
            time.sleep(3.0)
            before = {name: cpu_seconds(supervisor.pid(name)) for name in ("server", "cluster")}
            variables = (
                client_variables(settings.api_url, settings.state_folder / "prefect") | settings.as_environment()
            )
            started = time.perf_counter()
            ran = subprocess.run(
                [sys.executable, "-m", "benchmarks.overhead", "run"],
                env=prefect_environment(variables),
                check=True,
                capture_output=True,
                text=True,
            )
            wall = time.perf_counter() - started
            used = {name: cpu_seconds(supervisor.pid(name)) - before[name] for name in before}
        done = len(open_store(settings.store).list("results/").objects)
        told = json.loads(ran.stdout.splitlines()[-1])
        publishing = _publishing_seconds(open_store(settings.store))
    used |= {"flow": told["cpu_s"] - told["publish_cpu_s"]}
    per_site = {name: round(1000 * seconds / SITES, 2) for name, seconds in used.items()}
    return {
        "sites": SITES,
        "objects": done,
        "wall_s": round(wall, 2),
        "cpu_ms_per_site": per_site,
        "cpu_ms_per_site_total": round(sum(per_site.values()), 2),
        "publishing_cpu_s_apart": told["publish_cpu_s"],
        "publishing_again_cpu_s": publishing,
        "target": "under 20 ms CPU a site; decoding a tiny file and writing its part are included",
    }


def _publishing_seconds(store: Store) -> float:
    started = time.process_time()
    publish_and_project(open_job(store, "bench", "P1", settle_s=0.0))
    return round(time.process_time() - started, 2)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of all it started, in seconds."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def run_flow() -> None:
    """The flow in a process of its own, without measuring; tells its CPU time."""
    import flows.follow
    import flows.process_plate

    spent = 0.0
    original = flows.process_plate.publish_and_project

    def timed(job: Any) -> Any:
        nonlocal spent
        started = time.process_time()
        result = original(job)
        spent += time.process_time() - started
        return result

    flows.process_plate.publish_and_project = timed
    flows.follow.measure_site = measure_site
    flows.process_plate.process_plate("bench", "P1")
    print(json.dumps({"cpu_s": round(time.process_time(), 2), "publish_cpu_s": round(spent, 2)}))


def bench_storage() -> dict[str, Any]:
    """Write one real site (640 x 640, 2 channels, labels, cells) again and again; the reference is a plain copy."""
    source = Path(__file__).parents[1] / "tests" / "data" / "bbbc013"
    experiment = read_experiment((source / "experiment.yaml").read_bytes())
    names = {"GFP": "Channel1-01-A-01.tif", "DNA": "Channel2-01-A-01.tif"}
    planes = {channel: tifffile.imread(source / "images" / name) for channel, name in names.items()}
    measured = measure_planes(planes, {"pixels": experiment.pixel_part()})
    stack = np.stack(list(planes.values()))
    channels = [{"name": channel.name, "color": channel.color, "full_scale": 255} for channel in experiment.channels]
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        numbers = iter(range(10**6))

        def write() -> int:
            return sum(
                item["size_bytes"]
                for item in write_site(
                    store,
                    f"plate.zarr/A/1/s1x{next(numbers)}",
                    planes=stack,
                    thumbnails=measured.thumbnails,
                    factor=measured.factor,
                    labels=measured.labels,
                    channels=channels,
                    pixel_size_um=None,
                )
            )

        size = write()
        zarr = measure(write, runs=20)
        part = measure(lambda: store.write(f"part{next(numbers)}", write_part(measured.cells)), runs=20)
        plain = measure(lambda: store.write(f"plain{next(numbers)}", stack.tobytes()), runs=20)
    return {
        "pixels_bytes": stack.nbytes,
        "zarr_bytes": size,
        "write_zarr_of_a_site": zarr,
        "write_part_of_a_site": part,
        "reference_plain_write": plain,
        "ratio_zarr_to_plain_cpu": round(zarr["cpu_median_s"] / max(plain["cpu_median_s"], 1e-4), 1),
    }


def main() -> None:
    """Measure both and write the results."""
    print(write_result("overhead", bench_overhead() | {"storage": bench_storage()}).read_text())


if __name__ == "__main__":
    run_flow() if sys.argv[1:] == ["run"] else main()
