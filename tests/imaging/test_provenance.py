"""How a site's run is described: where, how long, at what price, with which software."""

from __future__ import annotations

import re
import time

import pytest

from imaging.provenance import Meter, Whereabouts, begin_run, cost_of, software_versions
from imaging.tables import RUN_COLUMNS
from kernels import device


def test_a_run_is_described_by_the_columns_of_site_runs():
    with begin_run() as run:
        assert list(run.describe()) == [column.name for column in RUN_COLUMNS]


def test_a_run_names_the_device_that_computed_it(monkeypatch: pytest.MonkeyPatch):
    with begin_run() as run:
        assert run.describe()["device"] == "cpu"
        monkeypatch.setattr(device, "_chosen", "cuda")
        assert run.describe()["device"] == "cuda"


def test_a_run_names_its_worker_and_what_that_costs(monkeypatch: pytest.MonkeyPatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with begin_run(Whereabouts("gcp", "europe-west4", 0.72)) as run:
        clock[0] += 50.0
        described = run.describe()
    assert (described["environment"], described["place"], described["price_per_hour"]) == ("gcp", "europe-west4", 0.72)
    assert (described["machine_seconds"], described["cost"]) == (50.0, 0.01)


def test_without_a_price_there_is_no_cost_and_a_price_of_nothing_is_a_price():
    with begin_run() as run:
        assert run.describe()["cost"] is None
    assert cost_of(3600.0, None) is None
    assert cost_of(3600.0, 0.0) == 0.0


def test_sites_that_a_worker_has_in_hand_at_once_share_its_time(monkeypatch: pytest.MonkeyPatch):
    clock, meter = [0.0], Meter()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with meter.measure() as first:
        clock[0] += 10.0
        with meter.measure() as second:
            clock[0] += 8.0
            assert meter.seconds_of(second) == 4.0
        clock[0] += 1.0
        assert meter.seconds_of(first) == 15.0
    clock[0] += 100.0  # nothing in hand: nobody's time
    with meter.measure() as third:
        clock[0] += 2.0
        assert meter.seconds_of(third) == 2.0
    assert (first.seconds, second.seconds) == (15.0, 4.0)


def test_a_site_that_fails_is_no_longer_in_hand(monkeypatch: pytest.MonkeyPatch):
    clock, meter = [0.0], Meter()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with pytest.raises(ValueError, match="no"), meter.measure():
        raise ValueError("no")
    with meter.measure() as share:
        clock[0] += 3.0
        assert meter.seconds_of(share) == 3.0


def test_the_software_is_named_with_its_versions():
    text = software_versions("cpu")
    assert re.match(r"python 3\.\d+\.\d+, numpy \d+\.\d+\.\d+", text)
    assert "scikit-image" in text
    assert "cupy" not in text
