"""The watcher as sweeper: what it may not delete must not cost it its rhythm."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flows.watch import DAY_S
from imaging.errors import StoreUnavailableError
from imaging.job import open_job
from imaging.records import clock_key
from imaging.store import FolderStore
from tests.flows.test_watch import upload, watch_of
from tests.following import follow
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP


def test_what_cannot_be_deleted_is_left_until_the_next_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = FolderStore(tmp_path)
    root.write("experiments/screen/experiment.yaml", EXPERIMENT.encode())
    root.write("experiments/screen/map.csv", PLATE_MAP.encode())

    class Undeletable(FolderStore):
        def delete(self, key: str) -> None:
            raise StoreUnavailableError("no right to delete", key=key)

        def modified(self, key: str) -> float | None:
            """The store's clock is two days later as well as ours."""
            return time.time() + 2 * DAY_S if key == clock_key(job.prefix) else super().modified(key)

    upload(root, "P1")
    job = open_job(root, "screen", "P1", settle_s=0.0)
    follow(job)
    root.write(f"{job.prefix}parts/nobodys.parquet", b"data")
    watch, _ = watch_of(Undeletable(root.root))
    later = time.time() + 2 * DAY_S
    monkeypatch.setattr("imaging.grace.read_clocks", lambda: (later, 0.0))
    assert sum(watch.round(later + hour * 3600) for hour in range(25)) == 1
    assert "screen/P1: what no record names was not deleted: no right to delete" in caplog.text
