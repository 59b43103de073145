"""What `platestream status` says of plates whose images lie elsewhere."""

from __future__ import annotations

from pathlib import Path

from flows.status import read_status
from imaging.job import open_job
from imaging.store import FolderStore, Store
from tests.following import follow
from tests.imaging import small_screen
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_plate


def test_a_plate_published_from_a_folder_elsewhere_is_listed(store: Store) -> None:
    small_screen.publish(store, 1)
    small_screen.publish(store, 2, run="run2")
    small_screen.publish(store, plate="P2")
    rows = read_status(store)
    assert [(row["plate"], row["state"], row["publication"], row["run"]) for row in rows] == [
        ("P1", "published", 2, "run2"),
        ("P2", "published", 1, "run1"),
    ]
    assert {row["recipe"] for row in rows} == {small_screen.RECIPE}
    assert rows[0]["page"] is None


def test_a_withdrawn_plate_is_called_so(store: Store) -> None:
    small_screen.publish(store, 1)
    small_screen.record(store, 2, status="withdrawn")
    (row,) = read_status(store)
    assert (row["state"], row["publication"]) == ("withdrawn", 2)


def test_a_plate_under_raw_is_listed_once(store: Store) -> None:
    small_screen.publish(store, 1)
    store.write("raw/screen/P1/A01_s1_DNA.tif", b"x")
    (row,) = read_status(store)
    assert row["state"] == "at fault"  # the experiment of this store is not declared


def test_suspicions_and_acquisitions_that_are_not_shown_are_told(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    text = EXPERIMENT + "barcode: '^(?P<barcode>[^_]+)'\n"
    store.write("experiments/screen/experiment.yaml", text.encode())
    store.write("experiments/screen/map.csv", PLATE_MAP.encode())
    for plate in ("P1_a", "P1_b"):
        for name, data in draw_plate().items():
            store.write(f"raw/screen/{plate}/{name}", data)
        follow(open_job(store, "screen", plate, settle_s=0.0))
    rows = {row["plate"]: row for row in read_status(store)}
    assert [rows[plate]["shown_instead"] for plate in ("P1_a", "P1_b")] == ["P1_b", None]
    assert rows["P1_a"]["suspicions"] == []
    assert [sentence.split(" ")[0] for sentence in rows["P1_b"]["suspicions"]] == ["8", "P1_a"]
