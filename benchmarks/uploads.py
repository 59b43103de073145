"""Uploading 10,000 files of 4 kB to a folder, sums included, against copying the same folder in the same run."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.results_file import measure, write_result
from imaging.upload.destinations import open_destination
from imaging.upload.journal import Journal
from imaging.upload.options import Options
from imaging.upload.summary import Summary
from imaging.upload.uploader import Uploader

FILES, SIZE = 10_000, 4096
RUNS = 5


def make_source(folder: Path) -> None:
    """Make the files, in folders of 100, with other bytes in each."""
    chance = random.Random(1)
    for number in range(FILES):
        path = folder / f"{number // 100:03d}" / f"A01_s{number}_w1.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(SIZE))


def upload(source: Path, store: Path, journal: Path | None) -> Summary:
    """Upload all; a file need not rest, which would add the same seconds to any number of files."""
    destination = open_destination(str(store), "raw/bench/P1/")
    with Journal(journal, source, str(store)) as notes:
        summary = Uploader(source, destination, notes, Options(settle_s=0.0)).run()
    assert summary.is_complete
    assert summary.files == FILES
    return summary


def is_equal(source: Path, copy: Path) -> bool:
    """Whether two folders hold the same files with the same bytes."""
    contents = [
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (source, copy)
    ]
    return contents[0] == contents[1] and len(contents[0]) == FILES


def bench_uploads() -> dict[str, Any]:
    """Measure uploads, repeated uploads and two ways of copying, each into a folder of its own."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        source, state = root / "source", root / "state"
        make_source(source)
        upload(source, root / "checked", state)
        assert is_equal(source, root / "checked" / "raw" / "bench" / "P1")

        targets = itertools.count()

        def fresh(work: Callable[[Path], object]) -> Callable[[], object]:
            return lambda: work(root / f"target-{next(targets)}")

        figures: dict[str, Any] = {
            "files": FILES,
            "bytes_each": SIZE,
            "upload": measure(fresh(lambda target: upload(source, target, state)), runs=RUNS),
            "again_with_journal": measure(lambda: upload(source, root / "checked", state), runs=RUNS),
            "again_without_journal": measure(lambda: upload(source, root / "checked", None), runs=RUNS),
            "reference_copytree": measure(fresh(lambda target: shutil.copytree(source, target)), runs=RUNS),
            "reference_cp": measure(
                fresh(lambda target: subprocess.run(["cp", "-r", source, target], check=True)), runs=RUNS
            ),
        }
    wall_s = figures["upload"]["wall_median_s"]
    return figures | {
        "files_per_s": round(FILES / wall_s),
        "ratio_to_copytree": round(wall_s / figures["reference_copytree"]["wall_median_s"], 2),
        "ratio_to_cp": round(wall_s / figures["reference_cp"]["wall_median_s"], 2),
        "included": "MD5 and CRC32C of each file, reading each copy back, comparing all at the end, writing the record",
        "target": "at least 500 files/s",
    }


def main() -> None:
    """Measure and write the results."""
    print(write_result("uploads", bench_uploads()).read_text())


if __name__ == "__main__":
    main()
