"""What `platestream status` says of plates whose images lie elsewhere."""

from __future__ import annotations

from flows.status import read_status
from imaging.store import Store
from tests.imaging import small_screen


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
