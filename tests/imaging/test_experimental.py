"""An upload's manifest.yaml: what it may ask for, what is told where it asks for more, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaging.errors import ConfigurationError
from imaging.experiment import Experiment, read_experiment
from imaging.experimental import Asked, read_manifest
from imaging.job import PlateJob, open_job
from imaging.plain_yaml import MAX_BYTES
from imaging.query import run_query
from imaging.store import FolderStore
from tests.following import follow
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_plate, read_rows

UPLOADS = f"{EXPERIMENT}uploads: {{allow: [nuclei.diameter_px, nuclei.diameter_um, cells], budget_usd: 2}}\n"
WIDER = b"recipe: {nuclei: {diameter_px: [6, 30]}}\n"


@pytest.fixture(scope="module")
def declared() -> Experiment:
    return read_experiment(UPLOADS.encode())


def put_plate(store: FolderStore, manifest: bytes | None = WIDER, text: str = UPLOADS) -> PlateJob:
    store.write("experiments/screen/experiment.yaml", text.encode())
    store.write("experiments/screen/map.csv", PLATE_MAP.encode())
    for name, data in draw_plate().items():
        store.write(f"raw/screen/P1/{name}", data)
    if manifest is not None:
        store.write("raw/screen/P1/manifest.yaml", manifest)
    return open_job(store, "screen", "P1", settle_s=0.0)


def test_what_is_allowed_gives_a_recipe_beside_that_of_the_plate(declared: Experiment) -> None:
    asked = read_manifest(WIDER, declared).experiment
    assert asked is not None
    assert asked.recipe_id.startswith("v1+experimental-")
    assert asked.recipe.nuclei is not None
    assert asked.recipe.nuclei.diameter_px == (6, 30)
    assert asked.recipe.features == declared.recipe.features
    assert asked.images == "none"


def test_a_refusal_stays_one_readable_sentence(declared: Experiment) -> None:
    asked = read_manifest(b"recipe: {" + b"x" * 1000 + b"\xc3\xa9: 1}", declared)
    assert asked.refusal.startswith("no experimental results are made: recipe.xxx")
    assert len(asked.refusal) < 600
    assert asked.refusal.isprintable()


def test_a_section_that_is_allowed_allows_what_is_below_it(declared: Experiment) -> None:
    asked = read_manifest(b"recipe: {cells: {expansion_px: 4, threshold: otsu}}", declared).experiment
    assert asked is not None
    assert asked.recipe.cells is not None
    assert (asked.recipe.cells.expansion_px, asked.recipe.cells.threshold) == (4, "otsu")


def test_a_length_in_micrometres_goes_before_the_declared_one_in_pixels() -> None:
    text = UPLOADS.replace("sites: 1}", "sites: 1, pixel_size_um: 0.5}")
    asked = read_manifest(b"recipe: {nuclei: {diameter_um: [3, 15]}}", read_experiment(text.encode())).experiment
    assert asked is not None
    assert asked.recipe.nuclei is not None
    assert asked.recipe.nuclei.diameter_in_px(0.5) == (6, 30)


def test_what_is_so_already_asks_for_nothing(declared: Experiment) -> None:
    assert read_manifest(b"recipe: {nuclei: {diameter_px: [6, 20]}}", declared) == Asked()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "recipe: {nuclei: {threshold: otsu}}",
            "recipe.nuclei.threshold may not be set by an upload; experiment.yaml allows nuclei.diameter_px, "
            "nuclei.diameter_um, cells",
        ),
        (
            "recipe: {nuclei: {thresold: otsu}, name: x}",
            "recipe.nuclei.thresold is no parameter of a recipe; did you mean 'threshold'? (and 1 more)",
        ),
        ("recipe: {name: v2}", "recipe.name says which recipe it is and is not set by uploads"),
        (
            "recipe: {nuclei: {diameter_px: [30, 6]}}",
            "recipe.nuclei.diameter_px: must be [smallest, largest], got [30, 6]; swap them (line 1)",
        ),
        (
            "recipe: {cells: {expansion_um: 4}}",
            "recipe.cells.expansion_um: needs layout.pixel_size_um; give it, or use expansion_px (line 1)",
        ),
        (
            "recipe: {nuclei: {diameter_px: {a: 1}}}",
            "recipe.nuclei.diameter_px.a is no parameter of a recipe: nuclei.diameter_px is a value, with nothing "
            "below it",
        ),
        ("", "the file must hold `recipe:` with parameters below it, and nothing else"),
        ("recipe: 5", "the file must hold `recipe:` with parameters below it, and nothing else"),
        ("plate: P1\nwells: 96", "the file must hold `recipe:` with parameters below it, and nothing else"),
        ("recipe: {a: &x 1, b: *x}", "recipe.a: has an anchor (&name), which is not read here; write the value itself"),
    ],
)
def test_anything_else_is_refused_whole_in_one_sentence(text: str, sentence: str, declared: Experiment) -> None:
    asked = read_manifest(text.encode(), declared)
    assert asked.experiment is None
    assert asked.refusal.startswith(f"no experimental results are made: {sentence}")
    assert "\n" not in asked.refusal


def test_where_nothing_is_declared_nothing_may_be_set() -> None:
    refusal = read_manifest(WIDER, read_experiment(EXPERIMENT.encode())).refusal
    assert refusal.endswith("may not be set by an upload; experiment.yaml allows none: name it in uploads.allow")


@pytest.mark.parametrize(
    ("allow", "sentence"),
    [
        ("nuclei.thresold", "'nuclei.thresold' is no parameter of a recipe; did you mean 'threshold'?"),
        ("name", "'name' says which recipe it is and is not set by uploads"),
        ("neclei", "'neclei' is no parameter of a recipe; did you mean 'nuclei'?"),
    ],
)
def test_an_allowed_parameter_must_be_one(allow: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_experiment(f"{EXPERIMENT}uploads: {{allow: [{allow}]}}\n".encode())
    assert caught.value.problems == (f"uploads.allow: {sentence} (line 13)",)


def test_uploads_change_no_recipes_id(declared: Experiment) -> None:
    assert declared.recipe_id == read_experiment(EXPERIMENT.encode()).recipe_id


def test_a_manifest_that_is_followed_is_no_unknown_image_and_tells_of_its_recipe(folder_store: FolderStore) -> None:
    plan = put_plate(folder_store).survey()
    assert plan.unknown == ()
    assert plan.asked is not None
    job = open_job(folder_store, "screen", "P1", settle_s=0.0, recipe=plan.asked.recipe_id)
    assert job.recipe == plan.asked.recipe_id
    assert job.survey().asked is None


def test_a_manifest_that_is_not_followed_is_a_fault_of_the_plate_until_it_is_mended(folder_store: FolderStore) -> None:
    job = put_plate(folder_store, b"recipe: {nuclei: {threshold: otsu}}\n")
    first = follow(job)
    (fault,) = read_rows(job, first, "faults")
    assert (fault["kind"], fault["name"]) == ("unknown", "manifest.yaml")
    assert "recipe.nuclei.threshold may not be set" in fault["reason"]
    (plate,) = read_rows(job, first, "plates")
    assert (plate["verdict"], plate["sites_done"]) == ("pass", 4)
    folder_store.write("raw/screen/P1/manifest.yaml", b"recipe: {nuclei: {thresold: otsu}}\n")
    second = follow(job)
    assert "did you mean 'threshold'?" in read_rows(job, second, "faults")[0]["reason"]
    folder_store.write("raw/screen/P1/manifest.yaml", WIDER)
    assert read_rows(job, follow(job), "faults") == []


def test_a_manifest_that_is_no_small_file_is_not_read(folder_store: FolderStore) -> None:
    plan = put_plate(folder_store, b"#" * (MAX_BYTES + 1)).survey()
    assert [file.name for file in plan.unknown] == ["manifest.yaml"]
    assert "bytes, at most" in plan.unknown[0].reason


def test_a_manifest_that_is_a_link_is_refused_as_any_link(folder_store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(WIDER)
    job = put_plate(folder_store, None)
    (folder_store.root / "raw/screen/P1/manifest.yaml").symlink_to(tmp_path / "secret")
    plan = job.survey()
    assert plan.asked is None
    assert [file.name for file in plan.unknown] == ["manifest.yaml"]


def test_an_experimental_recipe_that_is_not_asked_for_any_more_cannot_be_opened(folder_store: FolderStore) -> None:
    asked = put_plate(folder_store).survey().asked
    assert asked is not None
    folder_store.delete("raw/screen/P1/manifest.yaml")
    with pytest.raises(ConfigurationError, match=r"does not ask for the recipe v1\+experimental-\w+, or not any more"):
        open_job(folder_store, "screen", "P1", recipe=asked.recipe_id)


def test_experimental_results_lie_beside_the_plates_own_and_touch_nothing_of_theirs(folder_store: FolderStore) -> None:
    job = put_plate(folder_store)
    follow(job)
    own = {item.key: item.token for item in folder_store.list("").objects}
    asked = job.survey().asked
    assert asked is not None
    experimental = job.under(asked)
    publication = follow(experimental)
    assert len(read_rows(experimental, publication, "wells")) == 4
    after = {item.key: item.token for item in folder_store.list("").objects}
    assert {key: after.get(key) for key in own} == own
    assert {key.split("/")[3] for key in after.keys() - own} == {experimental.recipe}
    rows = run_query(folder_store, "SELECT DISTINCT recipe FROM wells").to_pylist()
    assert rows == [{"recipe": job.recipe}]
    marked = "SELECT recipe FROM plate_runs WHERE is_experimental"
    assert run_query(folder_store, marked).to_pylist() == [{"recipe": experimental.recipe}]
    shown = "SELECT DISTINCT recipe, against FROM compare_recipes ORDER BY recipe"
    assert [row["recipe"] for row in run_query(folder_store, shown).to_pylist()] == sorted(
        [job.recipe, asked.recipe_id]
    )


def test_an_experimental_plate_in_progress_is_in_no_live_table(folder_store: FolderStore) -> None:
    from imaging.measure import measure_planes
    from imaging.site import process_site
    from imaging.steps import plan_work, site_task

    job = put_plate(folder_store)
    asked = job.survey().asked
    assert asked is not None
    for each in (job, job.under(asked)):
        for site in plan_work(each).todo[:2]:
            process_site(site_task(each, site), measure_planes)
    rows = run_query(folder_store, "SELECT DISTINCT recipe FROM sites_live").to_pylist()
    assert rows == [{"recipe": job.recipe}]
