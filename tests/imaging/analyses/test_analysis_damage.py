"""Damage of an experiment's analyses: each object that is not what was written is found, and made again."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import pytest

from imaging.analyses.analysis_damage import mend_analyses, verify_analyses
from imaging.analyses.analysis_records import analyses_folder, list_analyses, told_key
from imaging.analyses.numbered import decide
from imaging.analyses.projection import board_key, project_experiment
from imaging.analyses.reconcile import find_due, reconcile
from imaging.errors import StoredDataError
from imaging.query import run_query
from imaging.store import FolderStore
from tests.imaging import small_analyses
from tests.imaging.small_analyses import EXPERIMENT, publish

FOLDER = analyses_folder(EXPERIMENT)
Damaging = Callable[[FolderStore, str], None]


def flip(store: FolderStore, key: str) -> None:
    """Change one bit in the middle."""
    data = bytearray(store.read(key))
    data[len(data) // 2] ^= 1
    store.write(key, bytes(data))


def cut(store: FolderStore, key: str) -> None:
    store.write(key, store.read(key)[:-9])


def remove(store: FolderStore, key: str) -> None:
    store.delete(key)


@pytest.fixture
def screen(folder_store: FolderStore) -> FolderStore:
    """Two published plates, analysed twice, the second time without a well that a person left out; pages and marks."""
    small_analyses.declare(folder_store)
    for plate in ("P1", "P2"):
        publish(folder_store, plate)
    for _ in range(2):
        (outcome,) = reconcile(folder_store, EXPERIMENT)
        project_experiment(folder_store, EXPERIMENT)
        folder_store.create(told_key(EXPERIMENT, outcome.record.recipe, outcome.record.number), b"{}")
        decide(folder_store, EXPERIMENT, "P1", "B05", excluded=True, by="Ada", because="a bubble")
    assert outcome.record.number == 2
    return folder_store


def find(store: FolderStore, pattern: str) -> str:
    """The one object whose address below the analyses' folder matches, or the first of several."""
    keys = sorted(item.key for item in store.list(FOLDER).objects)
    return next(key for key in keys if re.search(pattern, key.removeprefix(FOLDER)))


def hits(store: FolderStore) -> list[str]:
    rows = run_query(store, "SELECT treatment FROM hits WHERE is_hit ORDER BY treatment").to_pylist()
    return [row["treatment"] for row in rows]


def test_what_is_whole_is_called_whole_and_left_alone(screen: FolderStore) -> None:
    before = {item.key: item.token for item in screen.list("results/").objects}
    found = verify_analyses(screen, EXPERIMENT)
    assert (found.damages, found.objects > 20, found.size_bytes > 10_000) == ([], True, True)
    assert mend_analyses(screen, EXPERIMENT, []) == []
    assert {item.key: item.token for item in screen.list("results/").objects} == before
    assert verify_analyses(screen, "nothing").objects == 0


@pytest.mark.parametrize("damage", [flip, cut, remove])
@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (r"/data/000002-.*/hits[.]parquet", "analysis"),
        (r"/data/000001-.*/profiles[.]parquet", "earlier"),
        (r"^_plates/data/.*[.]arrow", "kept"),
    ],
)
def test_each_damage_of_data_is_found_and_mended(
    screen: FolderStore, damage: Damaging, pattern: str, what: str
) -> None:
    before = hits(screen)
    damage(screen, find(screen, pattern))
    found = verify_analyses(screen, EXPERIMENT)
    assert [item.what for item in found.damages] == [what]
    outcomes = mend_analyses(screen, EXPERIMENT, found.damages)
    assert [item.is_mended for item in outcomes] == [True]
    assert verify_analyses(screen, EXPERIMENT).damages == []
    assert (hits(screen), find_due(screen, EXPERIMENT).due) == (before, ())


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (r"/records/000002[.]json", "analysis"),
        (r"/records/000001[.]json", "earlier"),
        (r"^_choices/000001[.]json", "choice"),
        (r"^_plates/wells-.*[.]json", "kept"),
    ],
)
def test_a_record_that_is_cut_short_is_made_again_or_given_up(screen: FolderStore, pattern: str, what: str) -> None:
    before = hits(screen)
    cut(screen, find(screen, pattern))
    found = verify_analyses(screen, EXPERIMENT, is_quick=True)
    assert [item.what for item in found.damages] == [what]
    assert [item.is_mended for item in mend_analyses(screen, EXPERIMENT, found.damages)] == [True]
    assert verify_analyses(screen, EXPERIMENT).damages == []
    assert hits(screen) == before


def test_a_flipped_bit_is_found_by_reading_alone(screen: FolderStore) -> None:
    flip(screen, find(screen, r"/data/000002-.*/hits[.]parquet"))
    assert verify_analyses(screen, EXPERIMENT, is_quick=True).damages == []
    (damage,) = verify_analyses(screen, EXPERIMENT).damages
    assert damage.fault == "is not what was written: its CRC-32 differs"


def test_a_page_that_is_gone_is_written_again(screen: FolderStore) -> None:
    screen.delete(board_key(EXPERIMENT))
    found = verify_analyses(screen, EXPERIMENT)
    assert [(item.what, item.key) for item in found.damages] == [("page", board_key(EXPERIMENT))]
    assert [item.said for item in mend_analyses(screen, EXPERIMENT, found.damages)] == ["written again"]
    assert screen.exists(board_key(EXPERIMENT))


def test_what_a_person_decided_is_not_made_up(screen: FolderStore) -> None:
    key = find(screen, "^_decisions/")
    cut(screen, key)
    found = verify_analyses(screen, EXPERIMENT)
    assert [item.what for item in found.damages] == ["exclusion"]
    (outcome,) = mend_analyses(screen, EXPERIMENT, found.damages)
    assert (outcome.is_mended, "bring it back from a copy" in outcome.said, screen.exists(key)) == (False, True, True)
    with pytest.raises(StoredDataError, match="decide again by platestream exclude"):
        find_due(screen, EXPERIMENT)
    remove(screen, find(screen, r"/data/000002-.*/hits[.]parquet"))  # what rests on it cannot be mended either
    outcomes = mend_analyses(screen, EXPERIMENT, verify_analyses(screen, EXPERIMENT).damages)
    assert [item.is_mended for item in outcomes] == [False, False]


def test_a_repair_that_is_ended_is_begun_again(screen: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hits(screen)
    for pattern in (r"/data/000002-.*/hits[.]parquet", "^_choices/", r"/records/000001[.]json", "^_plates/values-"):
        cut(screen, find(screen, pattern))
    found = verify_analyses(screen, EXPERIMENT).damages
    for survived in range(len(found)):
        with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
            patched.setattr(screen, "delete", _dying(screen.delete, survived))
            mend_analyses(screen, EXPERIMENT, verify_analyses(screen, EXPERIMENT).damages)
    mend_analyses(screen, EXPERIMENT, verify_analyses(screen, EXPERIMENT).damages)
    assert verify_analyses(screen, EXPERIMENT).damages == []
    assert hits(screen) == before
    assert list_analyses(screen, EXPERIMENT).last(find(screen, "/records/").split("/")[3]) >= 3


def _dying(delete: Callable[[str], None], survived: int) -> Callable[[str], None]:
    left = [survived]

    def die(key: str) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        delete(key)

    return die
