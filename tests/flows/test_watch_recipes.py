"""The watcher and plates under several recipes: production first, everything else when nothing else is to be done."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flows.events import BACKGROUND_WORK, IMAGES_ARRIVED
from flows.needs import Need, event_of
from flows.process_plate import priority_of
from flows.settings import Settings
from flows.status import read_status
from flows.watch import Watch
from imaging.job import open_experiment, open_job
from imaging.plate_recipes import BACKGROUND, EXPERIMENTAL, PRODUCTION, PlateRecipe, find_plate_recipes
from imaging.promotions import record_promotion
from imaging.recipe_book import RecipeBook, open_recipes
from imaging.store import FolderStore
from tests.following import follow
from tests.imaging.small_plate import PLATE_MAP, draw_cells, draw_plate
from tests.imaging.test_experimental import UPLOADS, WIDER
from tests.imaging.test_recipe_book import WIDER as V2


@pytest.fixture
def root(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path)
    store.write("experiments/screen/experiment.yaml", UPLOADS.encode())
    store.write("experiments/screen/recipes/v2.yaml", V2.encode())
    store.write("experiments/screen/map.csv", PLATE_MAP.encode())
    for name, data in draw_plate().items():
        store.write(f"raw/screen/P1/{name}", data)
    return store


def book_of(root: FolderStore) -> RecipeBook:
    return open_recipes(root, open_experiment(root, "screen"))


def promote(root: FolderStore, name: str) -> None:
    book = book_of(root)
    record_promotion(root, book.find(name), instead_of=book.production.recipe_id)


def process(root: FolderStore, recipe: str = "") -> None:
    follow(open_job(root, "screen", "P1", settle_s=0.0, recipe=recipe))


def looked_at(root: FolderStore) -> list[tuple[str, int]]:
    return [(each.experiment.recipe.name, each.priority) for each in find_plate_recipes(root, book_of(root), "P1")]


def woken(root: FolderStore, *, after_s: float = 0.0) -> list[tuple[str, int]]:
    needs: list[Need] = []
    Watch(root, needs.append, rescan_s=1.0, settle_s=0.0).round(time.time() + after_s)
    return [(need.recipe.rpartition("-")[0], need.priority) for need in needs]


def test_a_new_plate_is_processed_under_the_promoted_recipe(root: FolderStore) -> None:
    promote(root, "v2")
    assert woken(root) == [("v2", PRODUCTION)]


def test_a_plate_begun_under_the_former_recipe_is_finished_under_it(root: FolderStore) -> None:
    open_job(root, "screen", "P1").ensure_pins()
    promote(root, "v2")
    assert woken(root) == [("v1", PRODUCTION)]


def test_a_published_plate_is_not_begun_under_the_promoted_recipe_and_still_gets_late_images(root: FolderStore) -> None:
    process(root)
    promote(root, "v2")
    assert woken(root) == []
    root.write("raw/screen/P1/A01_w1.tif", draw_cells(99))
    assert woken(root) == [("v1", PRODUCTION)]


def test_a_backfilled_plate_waits_until_it_is_published_under_the_promoted_recipe(root: FolderStore) -> None:
    process(root)
    promote(root, "v2")
    open_job(root, "screen", "P1", recipe="v2").ensure_pins()
    assert looked_at(root) == [("v1", PRODUCTION), ("v2", BACKGROUND)]
    assert woken(root) == [("v2", BACKGROUND)]
    process(root, "v2")
    assert looked_at(root) == [("v2", PRODUCTION), ("v1", BACKGROUND)]


def test_after_going_back_the_former_recipe_is_production_again(root: FolderStore) -> None:
    process(root)
    process(root, "v2")
    promote(root, "v2")
    promote(root, "v1")
    assert looked_at(root) == [("v1", PRODUCTION), ("v2", BACKGROUND)]


def test_a_watch_reads_recipes_and_promotions_again_only_when_they_change(
    root: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(root, "v2")
    watch = Watch(root, lambda need: None, settle_s=0.0)
    first = watch._open_recipes("screen")
    read, reads = root.read, []
    monkeypatch.setattr(root, "read", lambda key, **given: reads.append(key) or read(key, **given))
    assert watch._open_recipes("screen") is first
    assert reads == ["experiments/screen/experiment.yaml"]
    root.write("experiments/screen/recipes/v3.yaml", V2.replace("30", "31").encode())
    book = watch._open_recipes("screen")
    assert book is not None
    assert sorted(book.named) == ["v2", "v3"]
    promote(root, "v1")
    assert (found := watch._open_recipes("screen")) is not None
    assert len(found.promotions) == 2


def test_a_plate_of_an_experiment_with_one_recipe_costs_no_listing_of_its_recipes(
    root: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.delete("experiments/screen/recipes/v2.yaml")
    book = book_of(root)
    monkeypatch.setattr(root, "list_folders", None)
    assert find_plate_recipes(root, book, "P1") == (PlateRecipe(book.declared, PRODUCTION),)


def test_a_late_plate_map_is_published_under_each_recipe(root: FolderStore) -> None:
    process(root)
    process(root, "v2")
    assert woken(root) == []
    root.write("experiments/screen/map.csv", PLATE_MAP.replace("x,2", "y,2").encode())
    assert woken(root) == [("v1", PRODUCTION), ("v2", BACKGROUND)]


def test_an_upload_with_parameters_is_processed_beside_and_behind_the_plates_own(root: FolderStore) -> None:
    root.write("raw/screen/P1/manifest.yaml", WIDER)
    assert woken(root) == [("v1", PRODUCTION), ("v1+experimental", EXPERIMENTAL)]
    process(root)
    assert woken(root) == [("v1+experimental", EXPERIMENTAL)]
    follow(open_job(root, "screen", "P1", settle_s=0.0).under(asked_of(root)))
    assert woken(root) == []
    root.delete("raw/screen/P1/manifest.yaml")
    assert woken(root) == []


def asked_of(root: FolderStore):
    asked = open_job(root, "screen", "P1", settle_s=0.0).survey().asked
    assert asked is not None
    return asked


def test_a_manifest_at_fault_wakes_nobody_but_for_the_plates_own(root: FolderStore) -> None:
    root.write("raw/screen/P1/manifest.yaml", b"recipe: {nuclei: {threshold: otsu}}\n")
    assert woken(root) == [("v1", PRODUCTION)]


def test_a_run_that_may_wait_is_asked_for_by_an_event_of_its_own() -> None:
    kinds = [event_of(Need("screen", "P1", "v1-x", "", each)).kind for each in (PRODUCTION, BACKGROUND, EXPERIMENTAL)]
    assert kinds == [IMAGES_ARRIVED, BACKGROUND_WORK, BACKGROUND_WORK]


def test_sites_of_an_experimental_run_come_behind_all_others_whatever_was_asked(root: FolderStore) -> None:
    root.write("raw/screen/P1/manifest.yaml", WIDER)
    job = open_job(root, "screen", "P1", settle_s=0.0)
    experimental = job.under(asked_of(root))
    assert [priority_of(job, asked) for asked in (PRODUCTION, BACKGROUND)] == [PRODUCTION, BACKGROUND]
    assert [priority_of(experimental, asked) for asked in (PRODUCTION, BACKGROUND)] == [EXPERIMENTAL] * 2
    assert EXPERIMENTAL < BACKGROUND < PRODUCTION


def test_the_status_names_each_recipe_of_a_plate(root: FolderStore) -> None:
    root.write("raw/screen/P1/manifest.yaml", WIDER)
    process(root)
    process(root, "v2")
    rows = [
        (row["recipe"].rpartition("-")[0], row["is_experimental"], row["state"])
        for row in read_status(root, Settings(settle_s=0.0))
    ]
    assert rows == [("v1", False, "published"), ("v2", False, "published"), ("v1+experimental", True, "imaging")]
