"""Numbers of sites at time points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.time_points import MAX_SITE, MAX_TIME_POINT, join_site, say_site, site_columns, split_site


def test_at_the_first_time_point_a_site_has_its_own_number() -> None:
    assert join_site(7, 1) == 7
    assert join_site(1000, 1) == 1000


@given(st.integers(1, MAX_SITE), st.integers(1, MAX_TIME_POINT))
def test_a_number_gives_back_site_and_time_point(site: int, time_point: int) -> None:
    assert split_site(join_site(site, time_point)) == (site, time_point)


@pytest.mark.parametrize(
    ("number", "site", "time_point"), [(1, 1, 1), (1000, 1000, 1), (1001, 1, 2), (2000, 1000, 2), (2001, 1, 3)]
)
def test_the_last_site_of_a_time_point_is_not_the_first_of_the_next(number: int, site: int, time_point: int) -> None:
    assert site_columns(number) == {"site": site, "time_point": time_point}


def test_no_site_has_no_columns() -> None:
    assert site_columns(None) == site_columns(0) == {"site": None, "time_point": None}


def test_a_site_in_words_names_later_time_points_only() -> None:
    assert say_site("B03", 2) == "B03 site 2"
    assert say_site("B03", 1002) == "B03 site 2 at time point 2"
