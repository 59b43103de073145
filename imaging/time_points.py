"""Sites of time series: records, plans and manifests number them, tables have the site and its time point apart.

A site has at most the number 1,000 (``MAX_SITE``), so site s at time point t is number s + 1000 (t - 1) of its well: of
a plate with one time point the numbers are its sites'. Only here is this number taken apart.
"""

from __future__ import annotations

MAX_SITE = 1000
"""Greatest number of a site."""
MAX_TIME_POINT = 9999
"""Greatest number of a time point."""


def join_site(site: int, time_point: int) -> int:
    """Number of a site at a time point, both counted from 1."""
    return site + MAX_SITE * (time_point - 1)


def split_site(number: int) -> tuple[int, int]:
    """Site and time point of a number; 0 stands for no site, at the first time point."""
    if number < 1:
        return number, 1
    before, site = divmod(number - 1, MAX_SITE)
    return site + 1, before + 1


def site_columns(number: int | None) -> dict[str, int | None]:
    """Columns ``site`` and ``time_point`` of a number; both ``None`` where there is no site."""
    if not number:
        return {"site": None, "time_point": None}
    site, time_point = split_site(number)
    return {"site": site, "time_point": time_point}


def say_site(well: str, number: int) -> str:
    """A site in words: ``B03 site 1``, or ``B03 site 1 at time point 2``."""
    site, time_point = split_site(number)
    return f"{well} site {site}" + (f" at time point {time_point}" if time_point > 1 else "")
