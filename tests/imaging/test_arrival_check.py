"""Files that are no images are found while their site still waits for others."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaging import arrival_check
from imaging.arrival_check import ArrivalCheck
from imaging.job import PlateJob
from tests.imaging.small_plate import draw_cells, make_job

WHOLE = draw_cells(1)


def look(check: ArrivalCheck, job: PlateJob) -> int:
    return check.check(check.choose(job.survey()))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty (0 bytes)"),
        (bytes(len(WHOLE)), "zero bytes"),
        (WHOLE[: len(WHOLE) // 2], "of its pixel data"),
        (b"<html>not found</html>", "XML or HTML text"),
    ],
)
def test_a_bad_file_of_a_waiting_site_is_recorded_at_once_and_looked_at_once(
    tmp_path: Path, data: bytes, words: str
) -> None:
    job = make_job(tmp_path, images={"A01_w1.tif": data})
    check = ArrivalCheck(job)
    assert look(check, job) == 1
    ((well, site, channel, file),) = job.survey().faulted
    assert (well, site, channel, file.name) == ("A01", 1, "DNA", "A01_w1.tif")
    (key,) = [item.key for item in job.store.list(f"{job.prefix}faults/").objects]
    assert words in job.store.read(key).decode()
    assert check.choose(job.survey()) == []


def test_a_good_file_is_looked_at_once_and_a_replacement_again(tmp_path: Path) -> None:
    job = make_job(tmp_path, images={"A01_w1.tif": WHOLE})
    check = ArrivalCheck(job)
    assert look(check, job) == 0
    assert check.choose(job.survey()) == []
    (tmp_path / "raw" / "A01_w1.tif").write_bytes(WHOLE[:-1])
    assert len(check.choose(job.survey())) == 1


def test_a_site_that_is_ready_is_left_to_its_task(tmp_path: Path) -> None:
    job = make_job(tmp_path, images={"A01_w1.tif": b"", "A01_w2.tif": b""})
    assert ArrivalCheck(job).choose(job.survey()) == []


def test_a_file_that_changed_meanwhile_is_looked_at_again(tmp_path: Path) -> None:
    job = make_job(tmp_path, images={"A01_w1.tif": WHOLE})
    check = ArrivalCheck(job)
    chosen = check.choose(job.survey())
    (tmp_path / "raw" / "A01_w1.tif").write_bytes(WHOLE + b"x")
    assert check.check(chosen) == 0
    assert job.survey().faulted == ()
    assert len(check.choose(job.survey())) == 1


def test_batches_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tmp_path, images={f"{well}_w1.tif": WHOLE for well in ("A01", "A02", "B01")})
    monkeypatch.setattr(arrival_check, "BATCH", 2)
    check = ArrivalCheck(job)
    chosen = check.choose(job.survey())
    assert len(chosen) == 2
    check.check(chosen)
    assert len(check.choose(job.survey())) == 1
