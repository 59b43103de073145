from __future__ import annotations

from imaging.upload.backoff import FIRST_S, LONGEST_S, Backoff


def test_a_store_that_answers_may_be_asked_by_all() -> None:
    backoff = Backoff()
    assert all(backoff.may_try(0.0) for _ in range(8))


def test_a_store_that_is_away_is_asked_by_one_at_a_time() -> None:
    backoff = Backoff()
    backoff.failed(0.0, "refused")
    assert not backoff.may_try(0.0)
    assert backoff.may_try(FIRST_S)
    assert not backoff.may_try(FIRST_S)
    backoff.unused()
    assert backoff.may_try(FIRST_S)


def test_failures_that_were_under_way_together_count_as_one() -> None:
    backoff = Backoff()
    for _ in range(8):
        backoff.failed(0.0, "reset")
    assert backoff.may_try(FIRST_S)


def test_an_hour_without_an_answer_costs_a_bounded_number_of_tries_and_the_end_is_seen_soon() -> None:
    backoff, tries, last = Backoff(), 0, 0.0
    backoff.failed(0.0, "refused")
    for second in range(36_000):
        now = second / 10
        if backoff.may_try(now):
            tries, last = tries + 1, now
            backoff.failed(now, "refused")
    assert 100 < tries < 300
    assert 3600 - last <= LONGEST_S
    assert backoff.away_since == 0.0


def test_an_answer_ends_the_absence() -> None:
    backoff = Backoff()
    for now in range(5):
        backoff.may_try(60.0 * now)
        backoff.failed(60.0 * now, "refused")
    backoff.answered()
    assert (backoff.away_since, backoff.reason) == (None, "")
    assert backoff.may_try(240.0)
    assert backoff.may_try(240.0)
    backoff.failed(240.0, "refused")
    assert backoff.may_try(240.0 + FIRST_S)


def test_pauses_are_uneven_so_that_many_computers_do_not_ask_at_once() -> None:
    nexts = set()
    for _ in range(20):
        backoff = Backoff()
        backoff.failed(0.0, "refused")
        nexts.add(next(step for step in range(600) if backoff.may_try(step / 1000)))
    assert len(nexts) > 3
    assert min(nexts) >= 1000 * FIRST_S / 2
