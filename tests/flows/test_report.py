"""What a run tells about its plate."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import flows.report
from flows.report import COLORS, ProgressReport, draw_sites, report_plan, report_publication
from flows.status import describe_plate
from imaging.steps import beat
from tests.imaging.small_plate import draw_plate, follow, make_job


class Heard:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, kind: str) -> Any:
        return lambda *values: self.told.append((kind, values))

    def last(self, kind: str, name: str) -> tuple[Any, ...]:
        return [values for told, values in self.told if told == kind and values[0] == name][-1]


def test_progress_counts_sites_and_faults_are_listed(tmp_path: Path) -> None:
    images = draw_plate()
    job = make_job(tmp_path, images={**images, "B02_w1.tif": b"", "notes.txt": b"x"})
    follow(job)
    heard: Any = Heard()
    report_plan(heard, job, job.survey())
    assert heard.last("progress", "progress")[1:] == (75.0, "7 of 8 images; sites: 1 waiting, 3 done")
    assert [row["file"] for row in heard.last("table", "faults")[1]] == ["B02_w1.tif", "notes.txt"]


def test_the_map_shows_each_well_in_the_color_of_its_state(tmp_path: Path) -> None:
    images = draw_plate()
    job = make_job(tmp_path, images={name: data for name, data in images.items() if "B02" not in name})
    follow(job)
    address = draw_sites(job, job.survey())
    picture = Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))
    side = picture.width // 6
    assert picture.getpixel((side // 2, side // 2)) == COLORS["done"]
    assert picture.getpixel((side + side // 2, side + side // 2)) == COLORS["waiting"]
    assert len(address) < 5000


def test_a_publication_is_told_with_verdict_statistics_and_page(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    publication = follow(job)
    assert publication is not None
    heard: Any = Heard()
    report_publication(heard, job, publication)
    text = heard.last("markdown", "publication")[1]
    assert publication.run in text
    assert "Z' of Cells_Intensity_NucleusCytoplasmRatio_GFP" in text
    assert "page/index.html" in text


def test_the_same_plan_is_not_reported_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.report, "EVERY_S", 0.0)
    job = make_job(tmp_path)
    heard: Any = Heard()
    report = ProgressReport(heard, job)
    report(job.survey())
    count = len(heard.told)
    report(job.survey())
    assert len(heard.told) == count


def test_status_tells_how_far_a_plate_is(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    before = describe_plate(job, job.survey(), stale_s=90.0)
    assert (before["state"], before["sites_todo"], before["is_followed"]) == ("imaging", 4, False)
    beat(job, "somebody")
    follow(job)
    after = describe_plate(job, job.survey(), stale_s=90.0)
    assert (after["state"], after["status"], after["sites_done"], after["is_followed"]) == (
        "published",
        "complete",
        4,
        True,
    )
