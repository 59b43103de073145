"""`platestream process`: a folder of images on a real cluster, and the page that shows it meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import flows.display
from flows.process_folder import process_folder
from flows.settings import Settings
from imaging.errors import ConfigurationError
from imaging.live_page import LivePage
from imaging.store import open_store
from tests.imaging.small_page import read_data
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_plate, read_rows

CLOUD: dict[str, Any] = {"environment": "gcp", "place": "europe-west4", "price_per_worker_hour": 36.0}


def test_a_folder_is_shown_from_the_start_and_published_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.display, "EVERY_S", 0.05)
    images = tmp_path / "images"
    images.mkdir()
    for name, data in draw_plate().items():
        (images / name).write_bytes(data)
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    (tmp_path / "map.csv").write_text(PLATE_MAP)
    shown: list[bool] = []
    original = LivePage.write
    monkeypatch.setattr(
        LivePage, "write", lambda self, tables, **costs: shown.append(original(self, tables, **costs)) or shown[-1]
    )
    told: list[Any] = []
    processed = process_folder(
        images,
        tmp_path / "experiment.yaml",
        plate="P1",
        settings=Settings(
            store=str(tmp_path / "store"),
            workers=1,
            environment="gcp",
            place="europe-west4",
            price_per_worker_hour=36.0,
        ),
        on_start=lambda job: told.append(("start", job.plate)),
        on_look=lambda plan: told.append(("look", len(plan.of("done")))),
    )
    assert told[0] == ("start", "P1")
    assert told[1] == ("look", 0)
    assert shown[0]
    page = read_data(open_store(str(tmp_path / "store")).read(processed.page.replace("index.html", "data.js")))
    assert (page["status"], page["updated_at"], len(page["wells"])) == ("complete", None, 4)
    (run, *_) = read_rows(processed.job, processed.publication, "site_runs")
    assert (run["environment"], run["place"], run["price_per_hour"]) == ("gcp", "europe-west4", 36.0)
    assert run["cost"] == pytest.approx(run["machine_seconds"] / 100.0, abs=1e-6)
    live = open_store(str(tmp_path / "store")).read(processed.page.replace("index.html", "live.js"))
    assert live == b"window.LIVE = null;\n"


def test_a_missing_field_of_illumination_is_found_before_anything_begins(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name, data in draw_plate().items():
        (images / name).write_bytes(data)
    (tmp_path / "experiment.yaml").write_text(f"{EXPERIMENT}illumination: {{source: file, file: lost.npz}}\n")
    (tmp_path / "map.csv").write_text(PLATE_MAP)
    settings, told = Settings(store=str(tmp_path / "store"), workers=1), []
    with pytest.raises(ConfigurationError, match=r"lost\.npz is not there"):
        process_folder(
            images, tmp_path / "experiment.yaml", plate="P1", settings=settings, on_start=lambda job: told.append(job)
        )
    assert told == []
    assert open_store(settings.store).list("").objects == ()
