"""Quality, pyramid and thumbnails of one 1080 x 1080 site of 5 channels from uncompressed TIFF, on one core.

The reference, in the same run, is CellProfiler's formulas written down literally in float64 (of the quality part only).
On a machine with a GPU the same work is measured there too, on 2160 x 2160 sites of 6 channels in device memory.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import tifffile

from benchmarks.results_file import measure, write_result
from flows.clusters.local import ONE_THREAD
from flows.settings import child_environment
from imaging.decode import decode_plane
from kernels.device import probe, to_host, use_device
from kernels.gpu import cuda
from kernels.image_quality import measure_image_quality
from kernels.thumbnails import shrink, thumbnail_factor
from tests.kernels import cellprofiler_port

CHANNELS, SIDE = 5, 1080
GPU_CHANNELS, GPU_SIDE, GPU_SITES = 6, 2160, 50
SEED = 1080


def draw_site(channels: int, side: int) -> np.ndarray:
    """Draw a site of 180 cells per 1080 x 1080 pixels on an uneven, noisy ground: (c, y, x) uint16."""
    noise = np.random.default_rng(SEED)
    y, x = np.mgrid[:side, :side] / (side / 2) - 1
    ground = 400 * (1 - 0.3 * (y * y + x * x) / 2)
    count = 180 * side * side // 1080**2
    centres = noise.integers(20, side - 20, (count, 2))
    planes = []
    for channel in range(channels):
        plane = np.zeros((side, side))
        plane[centres[:, 0], centres[:, 1]] = noise.uniform(0.5, 1.5, count) * 2e6
        cells = cv2.GaussianBlur(plane, (0, 0), 6 + 3 * channel)
        planes.append((noise.poisson(ground + cells) + noise.normal(0, 3, plane.shape)).clip(0, 65535))
    return np.stack(planes).astype(np.uint16)


def measure_files(files: list[bytes]) -> tuple[dict[str, Any], np.ndarray]:
    """Decode, measure and shrink, as a worker does."""
    planes = np.stack([decode_plane(data, name="site.tif") for data in files])
    metrics = measure_image_quality(planes, full_scale=65535)
    return metrics, shrink(planes, thumbnail_factor(*planes.shape[1:]))


def bench_cpu() -> dict[str, Any]:
    """Check the values against the literal port, then time both."""
    planes = draw_site(CHANNELS, SIDE)
    files = [_tiff(plane) for plane in planes]
    metrics, _ = measure_files(files)
    literal = [cellprofiler_port.measure(plane, 65535) for plane in planes]
    worst = {name: _worst(metrics[name], [row[name] for row in literal]) for name in literal[0]}
    if max(worst.values()) > 1e-4:
        raise SystemExit(f"values differ from the literal port: {worst}")
    whole = measure(lambda: measure_files(files), runs=15)
    parts = {
        "decode": measure(lambda: [decode_plane(data, name="site.tif") for data in files], runs=15),
        "quality": measure(lambda: measure_image_quality(planes, full_scale=65535), runs=15),
        "thumbnails": measure(lambda: shrink(planes, 4), runs=15),
    }
    reference = measure(lambda: [cellprofiler_port.measure(plane, 65535) for plane in planes], runs=3)
    return {
        "site": f"{CHANNELS} planes of {SIDE} x {SIDE} uint16, uncompressed TIFF in memory",
        "decode_quality_thumbnails": whole,
        "parts": parts,
        "reference_float64_port_quality_only": reference,
        "ratio_port_to_ours": round(reference["cpu_median_s"] / parts["quality"]["cpu_median_s"], 1),
        "worst_relative_difference_to_port": worst,
        "target": "at most 0.100 s CPU as the floor, 0.050 s as the goal",
    }


def _tiff(plane: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, plane)
    return buffer.getvalue()


def _worst(ours: np.ndarray, literal: list[float]) -> float:
    return float(np.max(np.abs(ours - literal) / np.maximum(np.abs(literal), 1e-12)))


def bench_memory() -> dict[str, Any]:
    """Greatest memory of a process that measures site after site, above what it held when it began."""
    with tempfile.TemporaryDirectory() as folder:
        for number, plane in enumerate(draw_site(CHANNELS, SIDE)):
            (Path(folder) / f"{number}.tif").write_bytes(_tiff(plane))
        before, after = _in_process("memory", folder)
    site = CHANNELS * SIDE * SIDE * 2
    return {
        "site_bytes": site,
        "resident_bytes_before": before,
        "resident_bytes_greatest": after,
        "sites_held": round((after - before) / site, 2),
        "target": "at most 4 sites",
    }


def weigh(folder: Path) -> tuple[int, int]:
    """Resident bytes of this process before 40 sites, and the most that was seen while they were measured."""
    measure_files([_tiff(plane) for plane in draw_site(CHANNELS, 64)])  # everything is compiled and loaded
    process, is_over = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    seen = [before]

    def watch() -> None:
        while not is_over.wait(0.001):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(40):
        measure_files([path.read_bytes() for path in sorted(folder.iterdir())])
    is_over.set()
    watcher.join()
    return before, max(seen)


def bench_gpu() -> dict[str, Any]:
    """Quality and thumbnails of sites in device memory; the same values as on the CPU, or there is no figure."""
    found = probe()
    if not found.is_usable:
        return {"device": None, "reason": found.reason}
    use_device("cuda")
    host = draw_site(GPU_CHANNELS, GPU_SIDE)
    planes = cuda().put(host)
    factor = thumbnail_factor(GPU_SIDE, GPU_SIDE)
    on_gpu, on_cpu = measure_image_quality(planes, full_scale=65535), measure_image_quality(host, full_scale=65535)
    for name, values in on_cpu.items():
        if not np.allclose(
            on_gpu[name], values, rtol=1e-6 if name == "PowerLogLogSlope" else 0, atol=0, equal_nan=True
        ):
            raise SystemExit(f"{name} differs: {on_gpu[name]} on the GPU, {values} on the CPU")
    if not np.array_equal(to_host(shrink(planes, factor)), shrink(host, factor)):
        raise SystemExit("thumbnails differ")
    started = time.perf_counter()
    for _ in range(GPU_SITES):
        measure_image_quality(planes, full_scale=65535)
        to_host(shrink(planes, factor))
    seconds = (time.perf_counter() - started) / GPU_SITES
    return {
        "device": found.name,
        "driver": found.driver,
        "site_bytes": host.nbytes,
        "seconds_per_site": round(seconds, 5),
        "sites_per_s": round(1 / seconds, 1),
        "launches_per_site": "8 of image_quality.cu, 1 of thumbnails.cu, cuFFT's",
        "target": "300 sites/s on an H200",
    }


def _in_process(*arguments: str) -> Any:
    """Run a part in a process of its own, which is one thread like a worker."""
    command = [sys.executable, "-m", "benchmarks.quality", *arguments]
    ran = subprocess.run(command, env=child_environment(ONE_THREAD), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(ran.stdout)


def main() -> None:
    """Measure and write the results."""
    figures = _in_process("cpu") | {"memory": bench_memory(), "gpu": _in_process("gpu")}
    print(write_result("quality", figures).read_text())


if __name__ == "__main__":
    cv2.setNumThreads(1)
    parts = {"cpu": bench_cpu, "gpu": bench_gpu, "memory": lambda: weigh(Path(sys.argv[2]))}
    print(json.dumps(parts[sys.argv[1]]())) if sys.argv[1:] else main()
