"""What a run tells about its plate."""

from __future__ import annotations

import base64
import io
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import flows.report
from flows.artifacts import MAX_BYTES
from flows.markdown import link
from flows.report import (
    COLORS,
    QUALITY_TABLES,
    ProgressReport,
    draw_sites,
    report_overview,
    report_page,
    report_plan,
    report_publication,
    report_quality,
)
from flows.status import describe_plate
from imaging.live_page import LivePage
from imaging.projection import read_table
from imaging.steps import beat
from tests.following import follow
from tests.imaging.small_plate import draw_cells, draw_plate, make_job


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


def open_picture(address: str) -> Image.Image:
    assert len(address) <= MAX_BYTES
    return Image.open(io.BytesIO(base64.b64decode(address.partition(";base64,")[2])))


def test_the_page_is_told_from_the_start(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    heard: Any = Heard()
    report_page(heard, job)
    page = (tmp_path / "store" / job.prefix / "page" / "index.html").as_uri()
    assert heard.last("markdown", "page")[1] == f"page: {link(page)}"


def test_verdicts_are_told_as_a_picture_and_a_table_with_reasons(tmp_path: Path) -> None:
    empty = draw_cells(1, brightness=0, side=60)
    job = make_job(tmp_path, images={**draw_plate(), "A02_w1.tif": empty, "A02_w2.tif": empty})
    publication = follow(job)
    assert publication is not None
    heard: Any = Heard()
    report_quality(heard, job, {name: read_table(job, publication, name) for name in QUALITY_TABLES}, "publication 1")
    _, address, said = heard.last("image", "verdicts")
    assert address.startswith("data:image/png;base64,")
    assert open_picture(address).width > 300
    assert said == "wells by verdict, publication 1"
    _, rows, said = heard.last("table", "quality")
    assert rows == [
        {
            "verdict": "warn",
            "level": "site",
            "well": "A02",
            "site": 1,
            "channel": None,
            "reason": "A02 site 1: no nuclei were found",
        }
    ]
    assert said == "publication 1: 0 findings fail, 1 warn"


def test_a_table_of_many_findings_is_cut_where_a_person_stops_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path)
    publication = follow(job)
    assert publication is not None
    finding = {"verdict": "warn", "level": "well", "well": "A01", "site": None, "channel": None}
    for length, shown in ((10, 200), (100_000, 200), (299, 200)):
        findings = [finding | {"reason": "µ" * length} for _ in range(250)]
        monkeypatch.setattr(flows.report, "list_findings", lambda tables, findings=findings: findings)
        heard: Any = Heard()
        report_quality(heard, job, {name: read_table(job, publication, name) for name in QUALITY_TABLES}, "provisional")
        _, rows, said = heard.last("table", "quality")
        assert len(json.dumps(rows)) <= MAX_BYTES
        assert len(rows) <= shown
        assert len(rows[0]["reason"]) <= 300
        assert said == f"provisional: 0 findings fail, 250 warn; the first {len(rows)} are shown, the worst first"


def test_the_plate_is_told_in_colours_within_what_the_server_takes(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    follow(job)
    page = LivePage(job)
    page.read_sites(job.survey())
    heard: Any = Heard()
    report_overview(heard, page.atlas, "provisional")
    _, address, said = heard.last("image", "overview")
    assert address.startswith("data:image/webp;base64,")
    assert open_picture(address).width > 300
    assert said == "the plate in colours, provisional"


def test_the_same_plan_is_not_reported_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.report, "EVERY_S", 0.0)
    job = make_job(tmp_path)
    heard: Any = Heard()
    report = ProgressReport(heard, job)
    report(job.survey())
    count = len(heard.told)
    report(job.survey())
    assert len(heard.told) == count


def test_the_longer_a_plate_takes_the_more_seldom_it_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, now = make_job(tmp_path), 0.0
    monkeypatch.setattr("flows.report.time.monotonic", lambda: now)
    reported: list[float] = []
    monkeypatch.setattr("flows.report.report_plan", lambda *_: reported.append(now))
    plan = job.survey()
    heard: Any = Heard()
    report = ProgressReport(heard, job)
    for second in range(3 * 3600):
        now = float(second)
        report(replace(plan, sites=plan.sites[: second % 2 + 1]))
    assert reported[:3] == [0, 3, 6]
    assert 150 < len(reported) < 600
    assert max(b - a for a, b in itertools.pairwise(reported)) <= 31


def test_status_tells_how_far_a_plate_is(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    before = describe_plate(job, job.survey(), stale_s=90.0)
    assert (before["state"], before["sites_todo"], before["is_followed"]) == ("imaging", 4, False)
    assert before["page"] is None
    beat(job, "somebody")
    follow(job)
    after = describe_plate(job, job.survey(), stale_s=90.0)
    assert (after["state"], after["status"], after["sites_done"], after["is_followed"]) == (
        "published",
        "complete",
        4,
        True,
    )
    assert job.store.exists(after["page"])


def test_status_names_the_page_while_the_plate_is_imaged(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    page = LivePage(job)
    page.write(page.look(job.survey()))
    assert describe_plate(job, job.survey(), stale_s=90.0)["page"] == f"{job.prefix}page/index.html"
