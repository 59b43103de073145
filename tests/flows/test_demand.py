"""How many workers are wanted: plain numbers, no clock."""

from __future__ import annotations

import pytest

from flows.clusters.contract import Size
from flows.clusters.demand import Demand
from flows.clusters.look import Look

SIZE = Size(floor=1, maximum=10, threads=4)


def make_demand(size: Size = SIZE, present: int = 1) -> Demand:
    return Demand(size, present, idle_s=100, no_progress_s=60, now=0)


def look(waiting: int = 0, in_hand: int = 0, ended: int = 0) -> Look:
    return Look(ended, waiting, {"a": in_hand})


def test_a_floor_above_the_maximum_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to the maximum, got 3 and 2"):
        Size(3, 2)


@pytest.mark.parametrize(("tasks", "number"), [(0, 1), (1, 1), (4, 1), (5, 2), (13, 4), (400, 10)])
def test_a_site_per_thread_is_wanted_within_the_size(tasks: int, number: int) -> None:
    assert make_demand().number(look(waiting=tasks), 1) == number


def test_sites_that_wait_and_sites_in_hand_count_alike() -> None:
    assert make_demand().number(look(waiting=5, in_hand=4), 1) == 3


def test_a_number_is_kept_for_as_long_as_it_may_be_wanted_again() -> None:
    demand = make_demand()
    assert demand.number(look(waiting=20), 10) == 5
    assert demand.number(look(waiting=8, ended=1), 50) == 5
    assert demand.number(look(ended=2), 109) == 5
    assert demand.number(look(ended=2), 111) == 2
    assert demand.number(look(ended=2), 151) == 1


def test_workers_that_another_keeper_wanted_are_kept_at_first() -> None:
    demand = make_demand(present=7)
    assert demand.number(look(), 99) == 7
    assert demand.number(look(), 101) == 1


def test_without_work_and_without_a_floor_nobody_is_left() -> None:
    demand = make_demand(Size(0, 10, 4), present=3)
    assert demand.number(look(), 101) == 0


def test_workers_go_when_nothing_gets_on_until_something_ends() -> None:
    demand = make_demand(present=4)
    assert demand.number(look(waiting=9, in_hand=7, ended=3), 1) == 4
    assert demand.number(look(waiting=9, in_hand=7, ended=3), 60.5) == 4
    assert demand.number(look(waiting=9, in_hand=7, ended=3), 61) == 1
    assert demand.is_stuck
    assert demand.number(look(waiting=16, ended=3), 63) == 1, "the workers were just let go"
    assert demand.number(look(waiting=12, in_hand=3, ended=4), 64) == 4
    assert not demand.is_stuck


def test_what_was_stuck_is_forgotten_when_nothing_is_left_to_do() -> None:
    demand = make_demand()
    demand.number(look(in_hand=4), 1)
    demand.number(look(in_hand=4), 61)
    assert demand.is_stuck
    assert demand.number(look(), 62) == 1
    assert demand.number(look(waiting=8), 63) == 2


def test_waiting_for_machines_is_no_lack_of_progress() -> None:
    demand = make_demand(Size(0, 10, 4), present=0)
    assert demand.number(look(), 0) == 0
    assert demand.number(look(waiting=8), 1) == 2
    assert demand.number(look(waiting=8), 59) == 2
    assert demand.number(look(in_hand=8), 61) == 2, "they have come"
    assert demand.number(look(in_hand=8), 118) == 2
    assert not demand.is_stuck


def test_machines_that_lose_their_workers_have_as_long_to_come_again() -> None:
    demand = make_demand()
    demand.number(look(in_hand=8), 50)
    assert demand.number(look(waiting=8), 109) == 2
    assert demand.number(look(waiting=8), 110) == 1


def test_machines_whose_workers_never_come_go_and_are_asked_for_again() -> None:
    demand = make_demand(Size(0, 10, 4), present=0)
    assert demand.number(look(), 0) == 0
    numbers = {second: demand.number(look(waiting=8), second) for second in (1, 59, 60, 119, 120, 179, 180)}
    assert numbers == {1: 2, 59: 2, 60: 0, 119: 0, 120: 2, 179: 2, 180: 0}


def test_with_a_floor_of_none_workers_come_again_after_a_lack_of_progress() -> None:
    demand = make_demand(Size(0, 10, 4), present=2)
    demand.number(look(in_hand=8), 1)
    assert demand.number(look(in_hand=8), 61) == 0
    assert demand.number(look(waiting=8), 120) == 0
    assert demand.number(look(waiting=8), 121) == 2
    assert not demand.is_stuck


def test_workers_of_the_floor_that_hang_bring_no_others() -> None:
    demand = make_demand(present=2)
    for second in (1, 60, 120, 180, 240):
        number = demand.number(look(waiting=4, in_hand=4), second)
    assert number == 1


def test_a_scheduler_may_be_silent_for_a_while() -> None:
    demand = make_demand()
    demand.number(look(), 10)
    assert not demand.has_no_scheduler(69)
    assert demand.has_no_scheduler(70)
