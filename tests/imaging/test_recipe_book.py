"""Recipes side by side: files, promotions, and which one a plate is processed under."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from imaging.errors import ConfigurationError, StoredDataError
from imaging.experiment import Experiment, read_experiment
from imaging.job import open_job
from imaging.names import is_experimental
from imaging.promotions import read_promotions, record_promotion
from imaging.recipe_book import RecipeBook, open_recipes
from imaging.recipe_files import read_recipe
from imaging.store import FolderStore, Store
from tests.imaging.small_plate import EXPERIMENT

WIDER = "nuclei: {diameter_px: [6, 30]}\ncells: {}\nfeatures: {families: [AreaShape, Intensity], whole_images: no}\n"


@pytest.fixture
def declared() -> Experiment:
    return read_experiment(EXPERIMENT.encode())


def write_experiment(store: Store, text: str = EXPERIMENT, **recipes: str) -> RecipeBook:
    store.write("experiments/screen/experiment.yaml", text.encode())
    for name, recipe in recipes.items():
        store.write(f"experiments/screen/recipes/{name}.yaml", recipe.encode())
    return open_recipes(store, read_experiment(text.encode()))


def promote(store: Store, name: str) -> None:
    book = open_recipes(store, read_experiment(store.read("experiments/screen/experiment.yaml")))
    record_promotion(store, book.find(name), instead_of=book.production.recipe_id)


def faults_of(text: str, declared: Experiment, name: str = "v2") -> tuple[str, ...]:
    with pytest.raises(ConfigurationError, match=r"^recipes/v2\.yaml has \d faults?") as caught:
        read_recipe(text.encode(), declared, name=name, place="recipes/v2.yaml")
    return caught.value.problems


def test_a_recipes_file_gives_the_experiment_with_that_recipe(declared: Experiment) -> None:
    wider = read_recipe(WIDER.encode(), declared, name="v2", place="")
    assert wider.recipe_id.startswith("v2-")
    assert wider.recipe.nuclei is not None
    assert wider.recipe.nuclei.diameter_px == (6, 30)
    assert wider.channels == declared.channels
    section = EXPERIMENT.replace("name: v1, nuclei: {diameter_px: [6, 20]}", "name: v2, nuclei: {diameter_px: [6, 30]}")
    assert wider.recipe_id == read_experiment(section.encode()).recipe_id


def test_all_faults_of_a_recipes_file_are_told_with_their_places(declared: Experiment) -> None:
    assert faults_of("nuclei: {diameter_px: [9, 3], thresold: otsu}\ncells: {channel: RNA}\n", declared) == (
        "nuclei.diameter_px: must be [smallest, largest], got [9, 3]; swap them (line 1)",
        "nuclei.thresold: is not known; did you mean 'threshold'? (line 1)",
        "cells.channel: 'RNA' is not among the channels; did you mean 'DNA'? (line 2)",
    )


def test_a_recipes_file_must_go_with_the_rest_of_experiment_yaml() -> None:
    outliers = "{statistics: [], outliers: [{metric: nuclei_count, warn_z: 5}]}"
    text = EXPERIMENT.replace("{statistics: [Cells_Intensity_NucleusCytoplasmRatio_GFP]}", outliers)
    (problem,) = faults_of("features: {whole_images: no}\n", read_experiment(text.encode()))
    assert problem == (
        "the file: does not go with analysis.outliers[0].metric of experiment.yaml: 'nuclei_count' needs objects; "
        "give recipe.nuclei (line 1)"
    )


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        ("", "v2", "the file must be the recipe section alone, a mapping such as"),
        ("- 1\n", "v2", "the file must be the recipe section alone, a mapping such as"),
        ("name: v3\n" + WIDER, "v2", "name: must be 'v2' as the file's name says, got 'v3'; leave it out"),
        (WIDER, "v1", "name: 'v1' is experiment.yaml's own recipe; rename the file"),
        (WIDER, "v+2", "name: must be 1 to 40 letters, digits, - and _, got 'v+2'"),
    ],
)
def test_what_is_no_recipes_file_is_told_in_a_sentence(
    text: str, name: str, sentence: str, declared: Experiment
) -> None:
    assert faults_of(text, declared, name)[0].startswith(sentence)


def test_a_plate_is_opened_under_the_declared_recipe_by_default_and_under_any_by_its_name(folder_store: Store) -> None:
    book = write_experiment(folder_store, v2=WIDER)
    assert open_job(folder_store, "screen", "P1").recipe == book.declared.recipe_id
    assert open_job(folder_store, "screen", "P1", recipe="v1").recipe == book.declared.recipe_id
    job = open_job(folder_store, "screen", "P1", recipe="v2")
    assert job.prefix == f"results/screen/P1/{book.named['v2'].recipe_id}/"
    assert open_job(folder_store, "screen", "P1", recipe=job.recipe).recipe == job.recipe


def test_a_recipe_that_is_not_there_is_told_with_those_that_are(folder_store: Store) -> None:
    write_experiment(folder_store, v2=WIDER)
    with pytest.raises(ConfigurationError, match=r"no recipe 'v3'; known here: v1, v2; a new one is written to rec"):
        open_job(folder_store, "screen", "P1", recipe="v3")


def test_a_recipes_file_at_fault_stops_only_who_asks_for_it(folder_store: Store) -> None:
    write_experiment(folder_store, v2="nuclei: 3\n")
    open_job(folder_store, "screen", "P1")
    with pytest.raises(ConfigurationError, match=r"recipes/v2\.yaml has 1 fault"):
        open_job(folder_store, "screen", "P1", recipe="v2")


def test_new_plates_are_processed_under_the_promoted_recipe_until_the_former_is_promoted(store: Store) -> None:
    book = write_experiment(store, v2=WIDER)
    promote(store, "v2")
    assert open_job(store, "screen", "P1").recipe == book.named["v2"].recipe_id
    assert open_job(store, "screen", "P1", recipe="v1").recipe == book.declared.recipe_id
    promote(store, "v1")
    assert open_job(store, "screen", "P1").recipe == book.declared.recipe_id
    assert [(each.number, each.name, each.instead_of[:3]) for each in read_promotions(store, "screen")] == [
        (1, "v2", "v1-"),
        (2, "v1", "v2-"),
    ]


def test_promoting_what_is_promoted_records_nothing(store: Store) -> None:
    book = write_experiment(store, v2=WIDER)
    first, is_new = record_promotion(store, book.named["v2"], instead_of="v1-x")
    again, is_new_again = record_promotion(store, book.named["v2"], instead_of="v1-x")
    assert (is_new, is_new_again) == (True, False)
    assert first == again
    assert len(read_promotions(store, "screen")) == 1


def test_of_many_who_promote_at_once_each_gets_a_number_of_its_own(folder_store: Store) -> None:
    book = write_experiment(folder_store, v2=WIDER, v3=WIDER.replace("30", "40"), v4=WIDER.replace("30", "50"))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda each: record_promotion(folder_store, each, instead_of="v1-x"), book.named.values()))
    promotions = read_promotions(folder_store, "screen")
    assert [each.number for each in promotions] == [1, 2, 3]
    assert {each.name for each in promotions} == {"v2", "v3", "v4"}
    assert [each.instead_of for each in promotions[1:]] == [each.recipe for each in promotions[:-1]]


@pytest.mark.parametrize("recipe", [WIDER, "preset: jump\n", "nuclei: {diameter_px: [6, 20], smoothing_px: 2}\n"])
def test_what_was_promoted_stays_when_its_file_is_edited_or_deleted(recipe: str, folder_store: FolderStore) -> None:
    text = EXPERIMENT.replace("analysis: {statistics: [Cells_Intensity_NucleusCytoplasmRatio_GFP]}\n", "")
    promoted = write_experiment(folder_store, text, v2=recipe).named["v2"].recipe_id
    promote(folder_store, "v2")
    edited = write_experiment(folder_store, text, v2="nuclei: {diameter_px: [6, 99]}\n")
    assert edited.production.recipe_id == promoted != edited.named["v2"].recipe_id
    assert edited.find(promoted).recipe_id == promoted
    folder_store.delete("experiments/screen/recipes/v2.yaml")
    alone = write_experiment(folder_store, text)
    assert alone.production.recipe_id == alone.find("v2").recipe_id == promoted


def test_a_promoted_recipe_that_contradicts_experiment_yaml_by_now_is_told(folder_store: Store) -> None:
    write_experiment(folder_store, v2=WIDER.replace("cells: {}", "cells: {channel: GFP}"))
    promote(folder_store, "v2")
    folder_store.delete("experiments/screen/recipes/v2.yaml")
    write_experiment(folder_store, EXPERIMENT.replace("GFP", "RNA"))
    with pytest.raises(ConfigurationError, match="which is promoted, does not go with") as caught:
        open_job(folder_store, "screen", "P1")
    assert caught.value.problems == ("'GFP' is not among the channels; known here: DNA, RNA",)


def test_a_damaged_promotion_is_told_with_its_address(folder_store: Store) -> None:
    write_experiment(folder_store)
    folder_store.write("experiments/screen/promotions/000001.json", b"{}")
    with pytest.raises(StoredDataError, match=r"promotions/000001\.json"):
        open_job(folder_store, "screen", "P1")


def test_what_a_file_manager_leaves_beside_recipes_and_promotions_is_passed_over(folder_store: FolderStore) -> None:
    write_experiment(folder_store, v2=WIDER)
    for name in ("recipes/.DS_Store", "recipes/._v2.yaml", "recipes/notes.txt", "promotions/000001.json#1"):
        folder_store.write(f"experiments/screen/{name}", b"x")
    book = write_experiment(folder_store)
    assert (list(book.named), dict(book.faults), book.promotions) == (["v2"], {}, ())


def test_recipes_rank_by_when_they_were_promoted_last(store: Store) -> None:
    book = write_experiment(store, v2=WIDER, v3=WIDER.replace("30", "40"), v4=WIDER.replace("30", "50"))
    for name in ("v2", "v3", "v2"):
        promote(store, name)
    book = open_recipes(store, book.declared)
    ids = {name: book.find(name).recipe_id for name in ("v1", "v2", "v3", "v4")}
    assert {name: book.rank(recipe) for name, recipe in ids.items()} == {"v1": 0, "v2": 3, "v3": 2, "v4": -1}


def test_no_declared_recipe_has_the_name_of_an_experimental_one(declared: Experiment) -> None:
    assert is_experimental("v1+experimental-3fa9c2d4")
    assert not is_experimental(declared.recipe_id)
    with pytest.raises(ConfigurationError, match=r"must not end with \+experimental, as recipes of uploads do"):
        read_experiment(EXPERIMENT.replace("name: v1", "name: v1+experimental").encode())
