"""Rows of plates in progress, from their manifests."""

from __future__ import annotations

import os
from typing import Any

import pytest

from imaging.errors import StoredDataError
from imaging.live import LivePlate, read_records
from imaging.names import experiment_key
from imaging.query import run_query
from imaging.store import FolderStore, Store
from imaging.voids import void_site
from tests.imaging import small_screen
from tests.imaging.small_screen import manifest, publish, record, write_manifest


def ask(store: Store, sql: str) -> list[dict[str, Any]]:
    return run_query(store, sql).to_pylist()


def write_all(store: Store, plate: str = "P1") -> None:
    for item in small_screen.manifests(plate):
        write_manifest(store, item)


def test_measured_sites_of_an_unpublished_plate_are_live(store):
    write_manifest(store, manifest("A01", 1))
    write_manifest(store, manifest("A02", 2, missing=["RNA"]))
    sites = ask(store, "SELECT * FROM sites_live ORDER BY well")
    assert [(row["well"], row["site"], row["state"], row["nuclei_count"]) for row in sites] == [
        ("A01", 1, "done", 3),
        ("A02", 2, "done", 3),
    ]
    assert (sites[1]["channels_missing"], sites[1]["verdict"], sites[1]["is_published"]) == (["RNA"], "warn", False)
    assert sites[0]["finished_at"].isoformat() == "2026-02-03T04:05:08+00:00"
    images = ask(store, "SELECT * FROM images_live ORDER BY well, channel")
    assert [(row["well"], row["channel"], row["state"]) for row in images] == [
        ("A01", "DNA", "arrived"),
        ("A01", "RNA", "arrived"),
        ("A02", "DNA", "arrived"),
        ("A02", "RNA", "missing"),
    ]
    assert images[0]["arrived_at"].timestamp() == 1770091500.25
    assert (images[0]["experiment"], images[0]["plate"], images[0]["recipe"]) == ("screen", "P1", small_screen.RECIPE)
    assert (images[0]["MedianIntensity"], images[3]["arrived_at"]) == (0.01, None)


def test_published_plate_is_not_live(folder_store):
    write_all(folder_store)
    publish(folder_store)
    assert ask(folder_store, "SELECT * FROM sites_live") == []


def test_plate_is_live_again_once_a_site_was_measured_since_its_publication(folder_store):
    write_all(folder_store)
    publish(folder_store)
    newer = folder_store.local_path(write_manifest(folder_store, manifest("A01", 1, inputs="newer", nuclei=8)))
    os.utime(newer, (newer.stat().st_mtime + 10,) * 2)
    sites = ask(folder_store, "SELECT * FROM sites_live ORDER BY well, site")
    assert len(sites) == 12
    assert [row["is_published"] for row in sites] == [False] + [True] * 11
    assert sites[0]["nuclei_count"] == 8


def test_newest_manifest_of_a_site_counts(folder_store):
    older = folder_store.local_path(write_manifest(folder_store, manifest("A01", 1, inputs="zzz", nuclei=1)))
    os.utime(older, (1_000_000_000, 1_000_000_000))
    write_manifest(folder_store, manifest("A01", 1, inputs="aaa", nuclei=2))
    assert [row["nuclei_count"] for row in ask(folder_store, "SELECT * FROM sites_live")] == [2]


def test_withdrawn_plate_is_not_live(folder_store):
    write_all(folder_store)
    record(folder_store, 1, status="withdrawn")
    assert ask(folder_store, "SELECT * FROM sites_live") == []


def test_verdicts_follow_the_declared_limits_and_the_defaults_without_a_declaration(folder_store):
    item = manifest("A01", 1)
    item["image_metrics"][0] |= {"FocusScore": 0.001, "PercentSaturated": 2.0}
    write_manifest(folder_store, item)
    sql = "SELECT reasons FROM sites_live"
    saturated = "DNA in A01 site 1: 2 % of pixels are saturated (limit 1 %)"
    assert ask(folder_store, sql)[0]["reasons"] == [saturated]
    folder_store.create(experiment_key("screen"), small_screen.YAML)
    blurred = "DNA in A01 site 1: the focus score is 0.001 (at least 0.01)"
    assert ask(folder_store, sql)[0]["reasons"] == [saturated, blurred]


def test_board_of_live_plates_shows_what_does_not_pass(folder_store):
    write_manifest(folder_store, manifest("A01", 1, missing=["RNA"]))
    rows = ask(folder_store, "SELECT * FROM quality_board_live ORDER BY level")
    assert [(row["level"], row["channel"], row["verdict"]) for row in rows] == [
        ("image", "RNA", "warn"),
        ("site", None, "warn"),
    ]
    assert {row["is_published"] for row in rows} == {False}
    assert {row["reasons"] for row in rows} == {"RNA in A01 site 1: the image did not come"}


RULES = b"""
  outliers: [{metric: MedianIntensity, channel: DNA, warn_z: 4, min_difference: 0.01}]
plate_maps: [{file: map.csv}]
"""


def live_plate(store: Store, *, controls: dict[str, str]) -> None:
    """A plate of nine measured wells around a median intensity of 0.01; B03 is far away."""
    yaml = small_screen.YAML.replace(b"wells: 6", b"wells: 96") + RULES
    store.create(experiment_key("screen"), yaml)
    rows = "".join(f"{well},{control}\n" for well, control in controls.items())
    store.create(experiment_key("screen").replace("experiment.yaml", "map.csv"), f"well,control\n{rows}".encode())
    for number, well in enumerate(["A01", "A02", "A03", "A04", "A05", "B01", "B02", "B03", "B04"]):
        item = manifest(well, 1)
        item["image_metrics"][0]["MedianIntensity"] = 0.5 if well == "B03" else 0.01 + 0.001 * (number % 3)
        write_manifest(store, item)


def test_live_images_are_judged_against_the_wells_so_far(folder_store):
    live_plate(folder_store, controls={"A01": "negcon"})
    (row,) = ask(folder_store, "SELECT well, channel, reasons FROM images_live WHERE verdict <> 'pass'")
    assert (row["well"], row["channel"]) == ("B03", "DNA")
    assert row["reasons"][0].startswith("DNA in B03 site 1: the median intensity is 0.5, ")
    assert "robust standard deviations above the plate's wells" in row["reasons"][0]


def test_live_wells_that_the_plate_map_calls_empty_are_not_compared(folder_store):
    live_plate(folder_store, controls={"B03": "empty"})
    assert ask(folder_store, "SELECT * FROM quality_board_live") == []


def test_live_plates_with_a_faulty_plate_map_are_judged_without_it(folder_store):
    live_plate(folder_store, controls={"B03": "nonsense"})
    assert [row["well"] for row in ask(folder_store, "SELECT well FROM sites_live WHERE verdict <> 'pass'")] == ["B03"]


def test_queries_of_published_tables_read_no_manifest(folder_store):
    write_manifest(folder_store, manifest("A01", 1))
    assert isinstance(folder_store, FolderStore)
    folder_store.write(f"{small_screen.results()}sites/A01-2-broken.json", b"{")
    assert ask(folder_store, "SELECT * FROM wells") == []
    with pytest.raises(StoredDataError, match="the record is gone or damaged"):
        ask(folder_store, "SELECT * FROM sites_live")


def test_records_come_in_the_order_asked_for_with_their_address(store):
    for name in ("a", "b", "c"):
        store.create(name, b'{"name": "%s"}' % name.encode())
    assert [(item["name"], item["key"]) for item in read_records(store, ["c", "a"])] == [("c", "c"), ("a", "a")]


def test_record_that_is_gone_is_named(store):
    with pytest.raises(StoredDataError) as caught:
        read_records(store, ["nowhere.json"])
    assert caught.value.key == "nowhere.json"


def test_a_site_whose_manifest_is_void_is_not_shown_until_it_is_done_again(folder_store):
    write_manifest(folder_store, manifest("A01", 1))
    key = write_manifest(folder_store, manifest("A01", 2))
    assert len(ask(folder_store, "SELECT site FROM sites_live")) == 2
    name = key.rpartition("/")[2].removesuffix(".json")
    void_site(folder_store, f"{small_screen.results()}", name, "a part is damaged")
    assert ask(folder_store, "SELECT site FROM sites_live") == [{"site": 1}]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"counts": {"Nuclei": {}, "Cells": 3}}, "nuclei_count is no number"),
        ({"counts": {"Nuclei": 3, "Cells": "3"}}, "cells_count is no number"),
        ({"image_metrics": [{"channel": "DNA", "MedianIntensity": []}]}, "MedianIntensity is no number"),
    ],
)
def test_a_manifest_whose_values_are_no_numbers_is_named(store: Store, changes: dict[str, Any], words: str) -> None:
    write_manifest(store, manifest("A01", 1))
    key = write_manifest(store, manifest("A02", 1) | changes)
    plate = LivePlate(store, ("screen", "P1", small_screen.RECIPE))
    with pytest.raises(StoredDataError, match=words) as caught:
        plate.look({})
    assert caught.value.key == key
