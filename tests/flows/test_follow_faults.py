"""A follower whose storage or clock is out of order; no cluster, for nothing is handed out here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import flows.follow
from flows.follow import Follower
from imaging.errors import StoreUnavailableError
from imaging.records import heartbeat_key
from imaging.store import FolderStore, Listing
from tests.imaging.small_plate import draw_plate, make_job


class NoCluster:
    """A cluster without room."""

    workers = 0

    def submit(self, function: Callable[..., object], *args: object, key: str, priority: int = 0) -> Any:
        raise AssertionError("nothing is to be handed out")

    def ensure_connected(self) -> bool:
        return True


class Failing(FolderStore):
    """A folder whose listings, or deletions, fail as often as is said."""

    lists, deletes = 0, 0

    def list(self, prefix: str, *, min_age_s: float = 0.0) -> Listing:
        if self.lists > 0:
            self.lists -= 1
            raise StoreUnavailableError("the storage failed: 503; try again", key=prefix)
        return super().list(prefix, min_age_s=min_age_s)

    def delete(self, key: str) -> None:
        if self.deletes > 0:
            self.deletes -= 1
            raise StoreUnavailableError("the storage failed: 503; try again", key=key)
        super().delete(key)


def follower_of(folder: Path, *, images: int = 7, **options: Any) -> tuple[Follower, Failing]:
    job = make_job(folder, images=dict(list(draw_plate().items())[:images]))
    store = Failing(folder / "store")
    options = {"sites_in_flight": 0, "relist_s": 0.0, "linger_s": 0.0} | options
    return Follower(replace(job, store=store), NoCluster(), "test", **options), store


def test_a_listing_that_fails_ends_no_run_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(flows.follow, "BACK_OFF_S", 0.0)
    follower, store = follower_of(tmp_path)
    with follower:
        before = follower._step()
        store.lists = 3
        assert [follower._step() for _ in range(3)] == [before] * 3
        (tmp_path / "raw" / "A01_w1.tif").write_bytes(b"another")
        assert follower._step() != before
    (told,) = [message for message in caplog.messages if "503" in message]
    assert told.startswith(follower.job.prefix.rstrip("/"))
    assert told.endswith("; it is tried again")


def test_a_run_that_cannot_even_begin_to_look_ends(tmp_path: Path) -> None:
    follower, store = follower_of(tmp_path)
    store.lists = 1
    with pytest.raises(StoreUnavailableError), follower:
        follower._step()


def test_a_heartbeat_that_cannot_be_deleted_makes_no_good_run_fail(tmp_path: Path) -> None:
    follower, store = follower_of(tmp_path)
    with follower:
        store.deletes = 1
    assert store.exists(heartbeat_key(follower.job.prefix))


@pytest.mark.parametrize("ahead_s", [86_400.0, -86_400.0])
def test_patience_ends_by_the_clock_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    """A clock that was a day ahead once gave up all that was still to come, in the middle of a plate."""
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + ahead_s)
    follower, store = follower_of(tmp_path)
    with follower:
        plan = follower._step()
        assert plan.images_arrived == 7
        assert not plan.due
    assert not store.list(f"{follower.job.prefix}decisions/").objects
