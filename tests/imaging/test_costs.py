"""What plates cost: counted from manifests, by day, once, however often and by however many it is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imaging.cost_words import money_words, time_words
from imaging.costs import (
    Budget,
    CostBook,
    DayCosts,
    Spending,
    add_up,
    book_key,
    count_costs,
    day_key,
    day_of,
    plate_costs,
    read_book,
    spending_of,
    write_book,
)
from imaging.errors import StoreUnavailableError
from imaging.job import PlateJob
from imaging.measure import measure_planes
from imaging.names import to_json
from imaging.provenance import Whereabouts
from imaging.records import manifest_key, preview_key
from imaging.site import process_site
from imaging.steps import plan_work, site_task
from imaging.store import FolderStore
from tests.imaging.small_costs import MONDAY, TUESDAY, put_site, run_of
from tests.imaging.small_plate import EXPERIMENT, make_job

INFINITE = (
    b'{"days": {"2026-02-02": {"sites": Infinity, "machine_seconds": 1, "cost": 1, "unpriced": 0}}, "counted": []}'
)


@pytest.fixture
def job(tmp_path: Path) -> PlateJob:
    return make_job(tmp_path)


def count(job: PlateJob, book: CostBook | None = None) -> CostBook:
    return count_costs(job.store, job.prefix, job.survey().records, book or CostBook())


def test_a_plate_costs_what_its_sites_did(job: PlateJob) -> None:
    put_site(job, "A01-1-aa")
    put_site(job, "A02-1-bb", seconds=50.0, cost=0.25)
    assert count(job).total == Spending(2, 150.0, 0.75, 0)


def test_sites_without_a_price_are_counted_as_such(job: PlateJob) -> None:
    put_site(job, "A01-1-aa", cost=None)
    assert count(job).total == Spending(1, 100.0, 0.0, 1)
    assert count(job).total.cost_per_site is None
    put_site(job, "A02-1-bb")
    assert count(job).total == Spending(2, 200.0, 0.5, 1)
    assert count(job).total.cost_per_site == 0.5


def test_a_preview_and_a_site_that_was_measured_again_were_paid_as_well(job: PlateJob) -> None:
    put_site(job, "A01-1-aa")
    put_site(job, "A01-1-bb")
    job.store.write(preview_key(job.prefix, "A01-1-cc"), to_json({"provenance": run_of()}))
    assert count(job).total.cost == 1.5


def test_manifests_of_an_earlier_version_have_a_time_and_no_price() -> None:
    assert spending_of({"seconds": 3.0}) == Spending(1, 3.0, 0.0, 1)
    assert spending_of({}) == Spending(1, 0.0, 0.0, 1)
    assert spending_of(run_of(cost=0.0)) == Spending(1, 100.0, 0.0, 0)


def test_the_whole_plate_costs_what_it_did_and_its_open_sites_will() -> None:
    spent = Spending(4, 100.0, 2.0, 0)
    assert spent.estimate(0) == 2.0
    assert spent.estimate(6) == 5.0
    assert Spending(4, 100.0, 0.0, 4).estimate(6) is None


def test_days_are_counted_apart(job: PlateJob) -> None:
    put_site(job, "A01-1-aa")
    put_site(job, "A02-1-bb", day=TUESDAY, cost=0.25)
    book = count(job)
    assert (book.on(MONDAY).cost, book.on(TUESDAY).cost, book.on("2026-02-04").cost) == (0.5, 0.25, 0.0)
    assert day_of({"started_at": "../../x"}) == day_of({}) == "unknown"


def test_a_price_that_changes_in_mid_plate_is_that_of_each_site(job: PlateJob) -> None:
    plan = plan_work(job)
    for site, price in zip(plan.todo, (36.0, 36.0, 72.0, 0.0), strict=True):
        process_site(site_task(job, site), measure_planes, at=Whereabouts(price_per_hour=price))
    runs = [json.loads(job.store.read(manifest_key(job.prefix, site.name)))["provenance"] for site in plan.todo]
    used = [run["machine_seconds"] for run in runs]
    total = count(job).total
    assert total.cost == pytest.approx((used[0] + used[1]) / 100 + used[2] / 50, abs=1e-5)
    assert total.unpriced == 0


def test_a_manifest_is_read_once_and_what_was_paid_stays_counted(job: PlateJob) -> None:
    put_site(job, "A01-1-aa")
    book = count(job)
    write_book(job, book, CostBook())
    job.store.delete(manifest_key(job.prefix, "A01-1-aa"))
    put_site(job, "A02-1-bb")
    again = count(job, read_book(job.store, job.prefix))
    assert again.total.cost == 1.0
    assert plate_costs(job, job.survey()).cost == 1.0


@pytest.mark.parametrize("damage", [b"{", b'{"provenance": 1.5}', b'{"provenance": {"seconds": "9"}}'])
def test_a_damaged_manifest_is_not_counted_until_it_can_be_read(job: PlateJob, damage: bytes) -> None:
    put_site(job, "A01-1-aa")
    job.store.write(manifest_key(job.prefix, "A02-1-bb"), damage)
    book = count(job)
    assert book.total.sites == 1
    put_site(job, "A02-1-bb")
    assert count(job, book).total.sites == 2


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b'{"days": {"2026-02-02": {}}}', b'{"days": {}}', b'{"days": []}', INFINITE]
)
def test_a_damaged_book_is_counted_anew(job: PlateJob, damage: bytes) -> None:
    put_site(job, "A01-1-aa")
    job.store.write(book_key(job.prefix), damage)
    assert plate_costs(job, job.survey()).cost == 0.5


def test_the_day_is_the_sum_of_all_plates_and_two_who_write_count_once(tmp_path: Path, job: PlateJob) -> None:
    other = replace(job, plate="P2")
    put_site(job, "A01-1-aa")
    put_site(other, "A01-1-aa", cost=0.25)
    put_site(other, "A02-1-bb", day=TUESDAY, cost=8.0)
    for _ in range(2):
        for each in (job, other):
            write_book(each, count(each), CostBook())
    days = DayCosts(job.store, age_s=0.0)
    assert days.of(MONDAY) == Spending(2, 200.0, 0.75, 0)
    assert days.of(MONDAY, without=day_key(job, MONDAY)).cost == 0.25
    assert days.of(TUESDAY).cost == 8.0
    put_site(job, "A02-1-bb", cost=0.125)
    write_book(job, count(job), CostBook())
    assert days.of(MONDAY).cost == 0.875


def test_the_day_is_looked_up_again_only_after_a_while(job: PlateJob) -> None:
    days = DayCosts(job.store, age_s=60.0)
    assert days.of(MONDAY).cost == 0.0
    put_site(job, "A01-1-aa")
    put_site(job, "A02-1-bb", day=TUESDAY)
    write_book(job, count(job), CostBook())
    assert days.of(MONDAY).cost == 0.0
    assert days.of(TUESDAY).cost == 0.5


def test_what_lies_among_the_days_and_is_none_is_passed_over(job: PlateJob) -> None:
    put_site(job, "A01-1-aa")
    write_book(job, count(job), CostBook())
    job.store.write(f"costs/{MONDAY}/screen/P2/v1.json", b"{")
    job.store.write(f"costs/{MONDAY}/.DS_Store", b"x")
    assert DayCosts(job.store).of(MONDAY).cost == 0.5


def test_only_what_changed_is_written(job: PlateJob) -> None:
    put_site(job, "A01-1-aa")
    book = count(job)
    write_book(job, book, CostBook())
    states = {item.key: item.token for item in job.store.list("").objects}
    write_book(job, book, book)
    assert {item.key: item.token for item in job.store.list("").objects} == states
    put_site(job, "A02-1-bb", day=TUESDAY)
    write_book(job, count(job, book), book)
    after = {item.key: item.token for item in job.store.list("").objects}
    assert after[day_key(job, MONDAY)] == states[day_key(job, MONDAY)]
    assert day_key(job, TUESDAY) in after


def test_who_is_killed_between_day_and_book_is_counted_on_from(job: PlateJob, monkeypatch: pytest.MonkeyPatch) -> None:
    put_site(job, "A01-1-aa")
    write_book(job, count(job), CostBook())
    put_site(job, "A02-1-bb")
    before = read_book(job.store, job.prefix)
    write = FolderStore.write

    def write_or_die(store: FolderStore, key: str, data: bytes) -> None:
        if key == book_key(job.prefix):
            raise StoreUnavailableError("killed here")
        write(store, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "write", write_or_die)
        with pytest.raises(StoreUnavailableError):
            write_book(job, count(job, before), before)
    assert DayCosts(job.store).of(MONDAY).cost == 1.0
    before = read_book(job.store, job.prefix)
    assert before.total.cost == 0.5
    write_book(job, count(job, before), before)
    assert DayCosts(job.store).of(MONDAY).cost == read_book(job.store, job.prefix).total.cost == 1.0


def test_a_budget_is_used_up_once_it_is_reached_the_plate_s_before_the_day_s() -> None:
    plate, day = Spending(1, 1.0, 3.0), Spending(9, 9.0, 20.0)
    assert Budget().find_excess(plate, day) is None
    assert Budget(3.01, 20.01).find_excess(plate, day) is None
    assert Budget(3.0, 20.0).find_excess(plate, day) == ("plate", 3.0, 3.0)
    assert Budget(None, 20.0).find_excess(plate, day) == ("day", 20.0, 20.0)
    assert Budget(0.0).find_excess(Spending(), Spending()) == ("plate", 0.0, 0.0)


def test_the_order_in_which_sites_are_added_up_changes_no_sum() -> None:
    parts = [Spending(1, 0.1 * n, 0.00000123 * n, 0) for n in range(1000)]
    assert add_up(parts) == add_up(reversed(parts))


def test_a_plate_on_any_store_is_counted(store: Any, tmp_path: Path) -> None:
    job = replace(make_job(tmp_path, text=EXPERIMENT), store=store)
    put_site(job, "A01-1-aa")
    write_book(job, count(job), CostBook())
    assert DayCosts(store).of(MONDAY).cost == read_book(store, job.prefix).total.cost == 0.5


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.2, "less than 1 s"),
        (59.7, "1 min"),
        (185, "3 min 5 s"),
        (3600, "1 h"),
        (7805, "2 h 10 min"),
        (100_000, "1 d 3 h"),
    ],
)
def test_times_are_told_in_two_parts(seconds: float, words: str) -> None:
    assert time_words(seconds) == words


@pytest.mark.parametrize(
    ("usd", "words"),
    [(0, "0.00 USD"), (0.0000123, "0.000012 USD"), (0.0039, "0.0039 USD"), (0.5, "0.50 USD"), (1234.5, "1,234.50 USD")],
)
def test_money_is_told_to_the_cent_and_below_a_dollar_to_two_digits(usd: float, words: str) -> None:
    assert money_words(usd) == words
