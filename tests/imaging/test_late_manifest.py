"""An instrument's manifest that comes last adds and removes what is expected; nothing that is valid is redone."""

from __future__ import annotations

from pathlib import Path

from imaging.job import PlateJob
from imaging.planning import Gap
from imaging.reconciliation import reconcile
from imaging.steps import decide_due
from tests.following import follow
from tests.imaging.harmony_indices import Place, index, name_of
from tests.imaging.small_plate import draw_cells, make_job, object_states, read_rows

TEXT = """
name: screen
channels:
  - {name: DNA, code: "1", role: nucleus, full_scale: 255}
  - {name: GFP, code: "2", full_scale: 255}
layout: {wells: 384, imaged: [A01-A02], sites: 2}
files: {format: harmony}
recipe: {name: v1, projection: max, nuclei: {diameter_px: [6, 20]}, features: {families: [AreaShape], whole_images: no}}
patience: 60
"""
LAID_OUT = [(1, column, site) for column in (1, 2) for site in (1, 2)]


def place(column: int, site: int, channel: str, z: int = 1) -> Place:
    return 1, column, site, z, 0, channel


def images(*places: Place) -> dict[str, bytes]:
    return {name_of(item): draw_cells(number) for number, item in enumerate(places)}


def whole_layout() -> list[Place]:
    return [place(column, site, channel) for _, column, site in LAID_OUT for channel in ("1", "2")]


def tell(folder: Path, places: list[Place], **more: object) -> None:
    (folder / "raw" / "Index.xml").write_bytes(index("V6", places, **more))


def done(job: PlateJob) -> dict[tuple[str, int], str]:
    return {(site.well, site.site): site.name for site in job.survey().of("done")}


def test_a_late_manifest_removes_a_site_adds_a_site_and_adds_a_plane(tmp_path: Path) -> None:
    job = make_job(tmp_path, images=images(*whole_layout()), text=TEXT)
    first = follow(job)
    assert first is not None
    assert first.status == "complete"
    before, objects = done(job), object_states(job)
    assert len(before) == 4

    stays, gains = [place(1, 1, "1"), place(1, 1, "2")], [place(1, 2, "1"), place(1, 2, "2"), place(1, 2, "2", 2)]
    grows = [place(2, 1, "1"), place(2, 1, "2"), place(2, 3, "1"), place(2, 3, "2")]
    tell(tmp_path, [*stays, *gains, *grows])
    plan = job.survey()
    states = {(site.well, site.site): site.state for site in plan.sites}
    assert states == {("A01", 1): "done", ("A01", 2): "waiting", ("A02", 1): "done", ("A02", 3): "waiting"}
    assert {(file.name, file.reason) for file in plan.unknown} == {
        (name_of(place(2, 2, channel)), "well A02 site 2 is not among what the instrument's own files expect")
        for channel in ("1", "2")
    }
    assert follow(job) is None  # it waits for what the manifest adds

    for item in (gains[-1], *grows[-2:]):
        (tmp_path / "raw" / name_of(item)).write_bytes(draw_cells(50))
    second = follow(job)
    assert second is not None
    assert second.status == "complete"
    after = done(job)
    assert {site for site, name in after.items() if before.get(site) == name} == {("A01", 1), ("A02", 1)}
    untouched = [key for key in objects if "/sites/A01-1-" in key or "/sites/A02-1-" in key]
    assert len(untouched) == 2
    assert all(object_states(job)[key] == objects[key] for key in untouched)
    assert {(row["well"], row["site"]) for row in read_rows(job, second, "sites")} == set(after)
    (decision,) = [row for row in read_rows(job, second, "decisions") if row["kind"] == "expected"]
    assert decision["decided_by"] == "instrument"
    assert decision["reason"] == "Index.xml expects 9 planes: 3 more than the layout and 2 fewer"


def test_the_same_manifest_first_or_last_gives_the_same_plate(tmp_path: Path) -> None:
    told = [item for item in whole_layout() if item[1:3] != (2, 2)]
    runs = []
    for order in ("first", "last"):
        folder = tmp_path / order
        job = make_job(folder, images=images(*whole_layout()) if order == "last" else {}, text=TEXT)
        if order == "last":
            follow(job)
        tell(folder, told)
        if order == "first":
            for name, data in images(*whole_layout()).items():
                (folder / "raw" / name).write_bytes(data)
        publication = follow(job)
        assert publication is not None
        sites = read_rows(job, publication, "sites")
        runs.append(
            [{name: row[name] for name in ("well", "site", "state", "nuclei_count", "verdict")} for row in sites]
        )
    assert runs[0] == runs[1]
    assert len(runs[0]) == 3


def test_planes_that_the_instrument_could_not_take_are_decided_with_its_words(tmp_path: Path) -> None:
    places = whole_layout()
    lost = place(2, 2, "2")
    job = make_job(tmp_path, images=images(*(item for item in places if item != lost)), text=TEXT)
    tell(tmp_path, places, states={lost: "LaserOff"}, urls={lost: ""})
    gaps = job.survey().due
    assert [gap[:4] for gap in gaps] == [Gap("A02", 2, "GFP")[:4]]
    assert "LaserOff" in gaps[0].reason
    assert decide_due(job, job.survey()) == 1
    publication = follow(job)
    (decision,) = [row for row in read_rows(job, publication, "decisions") if row["kind"] == "missing"]
    assert (decision["decided_by"], decision["reason"]) == ("instrument", gaps[0].reason)


def test_a_manifest_that_cannot_be_read_leaves_the_layout_and_is_told(tmp_path: Path) -> None:
    job = make_job(tmp_path, images=images(*whole_layout()), text=TEXT)
    (tmp_path / "raw" / "Index.xml").write_bytes(index("V6", whole_layout())[:900])
    publication = follow(job)
    assert publication is not None
    assert publication.status == "complete"
    (fault,) = read_rows(job, publication, "faults")
    assert "Index.xml" in fault["reason"]


def test_the_reconciliation_says_what_the_manifest_changed_and_when_it_came(tmp_path: Path) -> None:
    job = make_job(tmp_path, images=images(*whole_layout()), text=TEXT)
    tell(tmp_path, whole_layout()[:6])
    (note, *_) = reconcile(job).notes
    assert note == (
        "expected: Index.xml expects 6 planes: 0 more than the layout and 2 fewer; it came after 6 of 6 images"
    )
