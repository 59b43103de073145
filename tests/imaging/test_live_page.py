"""The page of a plate while it is being imaged: it grows, it costs little, and it never hides a publication."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imaging.job import PlateJob
from imaging.live_page import LivePage
from imaging.measure import measure_planes
from imaging.names import to_json
from imaging.projection import page_folder, publish_and_project
from imaging.publication import publish
from imaging.records import manifest_key
from imaging.site import process_site
from imaging.steps import site_task
from imaging.store import FolderStore, Store
from tests.following import follow
from tests.imaging.small_page import read_live
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_cells, draw_plate, make_job, object_states, read_rows

NOW = 1_790_000_000.7


def measure(job: PlateJob, *wells: str) -> None:
    """Measure the ready sites of some wells, or of all."""
    job.ensure_pins()
    for site in job.survey().todo:
        if not wells or site.well in wells:
            process_site(site_task(job, site), measure_planes)


def show(page: LivePage) -> bool:
    return page.write(page.look(page.job.survey()), now=NOW)


def shown(job: PlateJob) -> dict[str, Any]:
    return read_live(job.store.read(f"{page_folder(job)}live.js"))


def page_files(job: PlateJob) -> dict[str, bytes]:
    """Files of the page without the machine time in them, which no two plates have in common."""
    folder = page_folder(job)
    files = {item.key.removeprefix(folder): job.store.read(item.key) for item in job.store.list(folder).objects}
    return {name: re.sub(rb'"costs":\[.*?\],', b"", data) for name, data in files.items()}


def without(*names: str) -> dict[str, bytes]:
    return {name: data for name, data in draw_plate().items() if name not in names}


def test_a_plate_without_a_measured_site_has_a_page_that_waits(tmp_path: Path) -> None:
    job = make_job(tmp_path, images=without("B02_w1.tif"))
    assert show(LivePage(job))
    found = shown(job)
    assert (found["status"], found["verdict"], found["updated_at"], found["run"]) == ("imaging", None, int(NOW), "")
    assert [(well["well"], well["state"], well["verdict"]) for well in found["wells"]] == [
        (name, "waiting", None) for name in ("A01", "A02", "B01", "B02")
    ]
    assert {count["label"]: (count["value"], count["expected"]) for count in found["counts"]} == {
        "Wells": (4, None),
        "Sites": (0, 4),
        "Images": (7, 8),
    }
    assert found["pictures"] is None
    assert page_files(job).keys() == {"data.js", "index.html", "links.js", "live.js", "page.css", "page.js"}
    assert page_files(job)["data.js"] == b"window.PLATE = null;\n"


def test_wells_appear_as_they_are_measured_with_counts_verdicts_and_pictures(tmp_path: Path) -> None:
    flat = draw_cells(1, side=60, brightness=0)
    job = make_job(tmp_path, images={**without("B02_w1.tif"), "A02_w1.tif": flat, "A02_w2.tif": flat})
    page = LivePage(job)
    measure(job, "A01", "A02")
    assert show(page)
    found = {well["well"]: well for well in shown(job)["wells"]}
    assert {name: (well["state"], well["verdict"]) for name, well in found.items()} == {
        "A01": ("done", "pass"),
        "A02": ("done", "warn"),
        "B01": ("waiting", None),
        "B02": ("waiting", None),
    }
    assert found["A01"]["treatment"] == "DMSO"
    assert "no nuclei were found" in " ".join(found["A02"]["reasons"])
    assert found["A01"]["sites"][0]["images"][0]["name"] == "A01_w1.tif"
    assert shown(job)["verdict"] == "warn"
    first = shown(job)["pictures"]
    assert first["sheets"]["files"] == []
    assert {channel["file"] for channel in first["channels"]} <= page_files(job).keys()
    measure(job)
    show(page)
    assert [well["state"] for well in shown(job)["wells"]] == ["done", "done", "done", "waiting"]
    assert shown(job)["pictures"]["channels"] != first["channels"]
    counts = next(metric for metric in shown(job)["metrics"] if metric["name"] == "nuclei_count")
    assert counts["values"] == [9, 0, 9, None]


def test_files_at_fault_are_shown_while_they_lie_there(tmp_path: Path) -> None:
    good = draw_plate()["B01_w1.tif"]
    job = make_job(tmp_path, images={**draw_plate(), "B01_w1.tif": good[: len(good) // 2], "notes.txt": b"x"})
    page = LivePage(job)
    measure(job)
    show(page)
    found = shown(job)
    assert [(fault["kind"], fault["name"], fault["well"]) for fault in found["faults"]] == [
        ("unknown", "notes.txt", None),
        ("unreadable", "B01_w1.tif", "B01"),
    ]
    waiting = found["wells"][2]
    assert (waiting["state"], waiting["verdict"]) == ("waiting", "warn")
    assert waiting["reasons"] == ["DNA in B01 site 1: the image cannot be read"]
    (tmp_path / "raw" / "B01_w1.tif").write_bytes(good)
    measure(job)
    show(page)
    assert [fault["kind"] for fault in shown(job)["faults"]] == ["unknown"]
    assert (shown(job)["wells"][2]["state"], shown(job)["wells"][2]["verdict"]) == ("done", "pass")


def test_a_plate_map_at_fault_is_a_fault_and_costs_the_page_only_the_map(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    (tmp_path / "maps" / "map.csv").write_text("well,treatment,concentration,control\nA99,x,1,poscon\nB01,x,none,trt\n")
    measure(job)
    show(LivePage(job))
    assert {fault["kind"] for fault in shown(job)["faults"]} == {"plate map"}
    assert len(shown(job)["faults"]) >= 2
    assert [(well["state"], well["treatment"]) for well in shown(job)["wells"]] == [("done", None)] * 4


def test_each_site_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tmp_path, images={**draw_plate(), "B01_w2.tif": b"no image"})
    page = LivePage(job)
    measure(job, "A01", "A02", "B01")
    show(page)
    read: list[str] = []
    original = FolderStore.read
    monkeypatch.setattr(FolderStore, "read", lambda self, key, **how: read.append(key) or original(self, key, **how))
    show(page)
    assert [fault["name"] for fault in shown(job)["faults"]] == ["B01_w2.tif"]
    assert not [key for key in read if "/sites/" in key or "/faults/" in key or ".zarr/" in key]
    measure(job)
    read.clear()
    show(page)
    assert {key.rpartition("/")[2][:3] for key in read if "/sites/" in key} == {"B02"}
    assert {key.partition(".zarr/")[2][:3] for key in read if ".zarr/" in key} == {"B/2"}


def test_a_site_that_is_measured_again_from_another_image_replaces_its_picture(tmp_path: Path) -> None:
    job = make_job(tmp_path, images=without("B02_w1.tif"))
    page = LivePage(job)
    measure(job)
    show(page)
    (tmp_path / "raw" / "A01_w1.tif").write_bytes(draw_cells(77, brightness=220))
    show(page)
    assert shown(job)["wells"][0]["state"] == "waiting"
    measure(job)
    show(page)
    fresh = LivePage(job)
    show(fresh)
    assert page.atlas.limits == fresh.atlas.limits
    assert len(page._manifests) == len(fresh._manifests) == 3
    assert page.atlas.draw().files == fresh.atlas.draw().files


def test_sites_whose_manifest_or_pixels_are_gone_do_not_stop_the_page(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    measure(job)
    plan = job.survey()
    lost, damaged, *_ = (manifest_key(job.prefix, site.name) for site in plan.of("done"))
    job.store.delete(lost)
    job.store.write(damaged, b"")
    for item in job.store.list(f"{job.zarr}/B/1/").objects:
        job.store.delete(item.key)
    page = LivePage(job)
    assert page.write(page.look(plan))
    assert [well["state"] for well in shown(job)["wells"]] == ["waiting", "waiting", "done", "done"]
    assert page.atlas.wells == {"B02"}


def test_thumbnails_that_are_not_those_of_the_images_cost_their_site_its_picture(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    measure(job, "A01", "A02")
    first, _ = (site.name for site in job.survey().of("done"))
    manifest = json.loads(job.store.read(manifest_key(job.prefix, first)))
    del manifest["images"][1], manifest["image_metrics"][1]
    job.store.write(manifest_key(job.prefix, first), to_json(manifest))
    page = LivePage(job)
    assert show(page)
    assert page.atlas.wells == {"A02"}


def test_a_plate_whose_pixels_are_not_kept_has_a_page_without_pictures(tmp_path: Path) -> None:
    job = make_job(tmp_path, text=EXPERIMENT + "images: none\n")
    measure(job)
    assert show(LivePage(job))
    assert shown(job)["pictures"] is None
    assert [well["state"] for well in shown(job)["wells"]] == ["done"] * 4


def test_the_live_page_of_a_large_plate_leaves_out_values_per_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path)
    measure(job)
    show(LivePage(job))
    assert "FocusScore" in shown(job)["image_metrics"]
    metrics = shown(job)["metrics"]
    monkeypatch.setattr("imaging.live_page.MOST_IMAGES", 7)
    show(LivePage(job))
    assert shown(job)["image_metrics"] == []
    assert shown(job)["metrics"] == metrics


def test_pictures_of_earlier_live_pages_are_deleted_after_minutes(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    page = LivePage(job)
    measure(job, "A01")
    page.write(page.look(job.survey()))
    before = {name for name in page_files(job) if name.endswith(".webp")}
    measure(job)
    page.write(page.look(job.survey()))
    assert before < page_files(job).keys()
    page.write(page.look(job.survey()), now=4e9)
    assert not before & page_files(job).keys()
    assert {channel["file"] for channel in shown(job)["pictures"]["channels"]} <= page_files(job).keys()


def test_a_bucket_holds_live_pages_too(tmp_path: Path, gcs_store: Store) -> None:
    local = make_job(tmp_path)
    job = PlateJob(gcs_store, local.raw, "", local.experiment, "P1", local.maps, "", settle_s=0.0)
    page = LivePage(job)
    assert show(page)
    measure(job, "A01")
    assert show(page)
    assert [well["state"] for well in shown(job)["wells"]] == ["done", "waiting", "waiting", "waiting"]
    measure(job)
    publish_and_project(job)
    assert not show(page)
    names = page_files(job).keys()
    assert not [name for name in names if name.startswith("live-")]
    assert page_files(job)["live.js"] == b"window.LIVE = null;\n"


# The race with a publication


def test_what_is_published_after_a_live_page_is_what_it_is_without(tmp_path: Path) -> None:
    job, calm = make_job(tmp_path / "live"), make_job(tmp_path / "calm")
    page = LivePage(job)
    measure(job, "A01")
    show(page)
    measure(job)
    show(page)
    publication, expected = follow(job), follow(calm)
    assert page_files(job) == page_files(calm)
    for name in ("images", "sites", "wells", "plates"):
        assert read_rows(job, publication, name) == read_rows(calm, expected, name)


def test_a_published_plate_gets_no_live_page(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    page = LivePage(job)
    measure(job)
    tables = page.look(job.survey())
    follow(job)
    before = object_states(job)
    assert page.is_published()
    assert not page.write(tables)
    assert object_states(job) == before


class Interrupted(BaseException):
    """Stands for the end of the process."""


class Watched(FolderStore):
    """A folder in which something happens before the n-th change."""

    def __init__(self, root: Path, before: int, happen: Callable[[], None]) -> None:
        super().__init__(root)
        self.before, self.happen, self.changes = before, happen, 0

    def _note(self) -> None:
        self.changes += 1
        if self.changes == self.before:
            self.happen()

    def write(self, key: str, data: bytes) -> None:
        self._note()
        super().write(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self._note()
        return super().create(key, data)

    def delete(self, key: str) -> None:
        self._note()
        super().delete(key)


def watched(job: PlateJob, before: int, happen: Callable[[], None]) -> PlateJob:
    root = job.store.local_path("")
    assert root is not None
    store = Watched(root, before, happen)
    return PlateJob(store, job.raw, "", job.experiment, job.plate, job.maps, "", settle_s=0.0)


def test_a_publication_in_the_middle_of_writing_stays_what_is_shown(tmp_path: Path) -> None:
    calm = make_job(tmp_path / "calm")
    measure(calm)
    show(LivePage(calm))
    n_changes = len(page_files(calm))
    publish_and_project(calm)
    expected = page_files(calm)
    for number in range(1, n_changes + 1):
        job = make_job(tmp_path / str(number))
        measure(job)
        racing = watched(job, number, lambda job=job: publish_and_project(job))
        assert not show(LivePage(racing)), number
        assert page_files(job) == expected, number


def test_whoever_is_killed_while_writing_leaves_nothing_that_hurts(tmp_path: Path) -> None:
    def end() -> None:
        raise Interrupted

    calm = make_job(tmp_path / "calm")
    measure(calm)
    show(LivePage(calm))
    n_changes = len(page_files(calm))
    live = page_files(calm)
    publish_and_project(calm)
    expected = page_files(calm)
    for number in range(1, n_changes + 1):
        job = make_job(tmp_path / str(number))
        measure(job)
        with pytest.raises(Interrupted):
            show(LivePage(watched(job, number, end)))
        assert "index.html" not in page_files(job), number
        assert show(LivePage(job)), number
        assert page_files(job) == live, number
        publish_and_project(job)
        assert page_files(job) == expected, number


def test_whoever_is_killed_after_a_publication_overtook_the_page_does_not_hide_it(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    measure(job)

    def overtake_and_end() -> None:
        publish_and_project(job)
        FolderStore.write(racing.store, f"{page_folder(job)}live.js", b"window.LIVE = {};\n")
        raise Interrupted

    racing = watched(job, 1, overtake_and_end)
    with pytest.raises(Interrupted):
        show(LivePage(racing))
    assert page_files(job)["data.js"].startswith(b"window.PLATE = {")
    (tmp_path / "maps" / "map.csv").write_text(PLATE_MAP.replace("x,2", "y,2"))
    follow(job)
    assert page_files(job)["live.js"] == b"window.LIVE = null;\n"


def test_until_a_publication_has_its_page_the_live_one_is_shown(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    measure(job)
    racing = watched(job, 1, lambda: publish(job))
    assert not show(LivePage(racing))
    assert page_files(job)["data.js"] == b"window.PLATE = null;\n"
    assert len(shown(job)["wells"]) == 4
    assert {channel["file"] for channel in shown(job)["pictures"]["channels"]} <= page_files(job).keys()
    publish_and_project(job)
    assert page_files(job)["live.js"] == b"window.LIVE = null;\n"
    assert not [name for name in page_files(job) if name.startswith("live-")]
