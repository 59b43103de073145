"""From the last image in a bucket to the row in BigQuery, all of ours real, Google's services stood in for.

    python -m benchmarks.upload_to_row

Twelve wells of a real plate with all features; Prefect server, runner, Dask cluster, watcher and loader are the
processes of ``platestream serve``. Beside the time to the row stands the time to the publication's record: what is
between the two is the warehouse's part.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.results_file import write_result
from flows.demo import EXPERIMENT, PLATE
from flows.google import open_data_store
from imaging.job import open_job
from tests.cloud.lab import Lab


def bench_upload() -> dict[str, Any]:
    """Seconds from the last upload to the publication's record, and to the row."""
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder), rows="A") as lab:
        job = open_job(open_data_store(lab.settings), EXPERIMENT, PLATE)
        images = lab.upload()
        uploaded = time.time()
        recorded: list[float] = []

        def look() -> None:
            while not job.store.list(f"{job.prefix}publications/").objects:
                time.sleep(0.2)
            recorded.append(time.time())

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        (row,) = lab.wait_for("SELECT sites_done FROM plate_overview WHERE status = 'complete'")
        seen = time.time()
        looking.join(10)
        return {
            "images": images,
            "sites": row["sites_done"],
            "last_upload_to_record_s": round(recorded[0] - uploaded, 1),
            "last_upload_to_row_s": round(seen - uploaded, 1),
            "record_to_row_s": round(seen - recorded[0], 1),
        }


def main() -> None:
    """Measure and write the result."""
    write_result("upload_to_row", {"upload_to_row": bench_upload()})


if __name__ == "__main__":
    main()
