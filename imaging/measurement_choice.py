"""Which of several measurements in a plate's folder gives each site: channels of two of them are never mixed.

The measurement of which most of what is wanted has come goes before, of equals the one with the newest file. A site
that it does not have is taken from the next one.
"""

from __future__ import annotations

from collections.abc import Iterable

from imaging.expectations import SiteKey

Placed = tuple[SiteKey, str, int]
"""Site, channel and z of a plane."""


def choose_measurements(placed: Iterable[tuple[str, Placed, float]]) -> dict[SiteKey, str]:
    """Choose a measurement for each site.

    Parameters
    ----------
    placed
        Of each wanted plane that has come its measurement (``Address.acquisition``), its place, and when its file was
        modified.
    """
    came: dict[str, set[Placed]] = {}
    newest: dict[str, float] = {}
    for measurement, place, modified in placed:
        came.setdefault(measurement, set()).add(place)
        newest[measurement] = max(modified, newest.get(measurement, modified))
    chosen: dict[SiteKey, str] = {}
    for measurement in sorted(came, key=lambda name: (len(came[name]), newest[name], name)):
        chosen |= dict.fromkeys((site for site, *_ in came[measurement]), measurement)
    return chosen


def say_other_measurement(own: str, chosen: str) -> str:
    """Why a plane of one measurement is not used at a site that another one gives."""
    return (
        f"it belongs to {_named(own)}, and this site is taken from {_named(chosen)}: channels of two measurements are "
        "not mixed; upload each measurement as a plate of its own"
    )


def _named(measurement: str) -> str:
    return f"the measurement {measurement!r}" if measurement else "the first measurement"
