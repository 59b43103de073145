"""Sites that do not fit into memory at once, and sites that are measured at once by threads of one worker."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging import measure
from imaging.decode import decode_plane
from imaging.measure import measure_planes
from imaging.planning import Plan
from imaging.site import SiteMeasurement, SiteOutcome, SiteTask, process_site
from imaging.steps import plan_work, site_task
from tests.imaging.small_plate import EXPERIMENT, FEATURES, make_job

REAL = Path(__file__).resolve().parents[1] / "data" / "bbbc013" / "images"


@pytest.fixture(scope="module")
def pins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is pinned for a plate of which everything is measured."""
    return make_job(tmp_path_factory.mktemp("plate"), text=EXPERIMENT.replace(FEATURES, "")).ensure_pins()


def real_site(well: str) -> dict[str, np.ndarray]:
    files = {"DNA": f"Channel2-{well}.tif", "GFP": f"Channel1-{well}.tif"}
    return {channel: decode_plane((REAL / name).read_bytes(), name=name) for channel, name in files.items()}


def assert_same(found: SiteMeasurement, expected: SiteMeasurement) -> None:
    assert found.image_metrics == expected.image_metrics
    assert found.counts == expected.counts
    assert found.cells.equals(expected.cells)
    assert found.image_features.equals(expected.image_features)
    np.testing.assert_array_equal(found.thumbnails, expected.thumbnails)
    assert found.factor == expected.factor
    for name, labels in expected.labels.items():
        np.testing.assert_array_equal(found.labels[name], labels)


def test_a_real_site_in_pieces_gives_what_it_gives_at_once(pins: dict[str, Any]) -> None:
    planes = real_site("02-A-02")
    at_once = measure_planes(planes, pins)
    assert at_once.cells.num_rows > 0
    assert_same(measure_planes(planes, pins, in_pieces=True), at_once)


def test_a_site_that_does_not_fit_into_memory_at_once_is_measured_in_pieces(
    pins: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    planes = real_site("02-A-02")
    at_once = measure_planes(planes, pins)
    measure_all, tried = measure.measure_cells, []

    def measure_what_fits(*args: Any, in_pieces: bool) -> Any:
        tried.append(in_pieces)
        if not in_pieces:
            raise MemoryError
        return measure_all(*args, in_pieces=in_pieces)

    monkeypatch.setattr(measure, "measure_cells", measure_what_fits)
    assert_same(measure_planes(planes, pins), at_once)
    assert tried == [False, True]


def test_a_site_of_which_no_piece_fits_into_memory_is_an_error(
    pins: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure_nothing(*args: Any, in_pieces: bool) -> Any:
        raise MemoryError("4 GB")

    monkeypatch.setattr(measure, "measure_cells", measure_nothing)
    with pytest.raises(MemoryError, match="4 GB"):
        measure_planes(real_site("02-A-02"), pins)


def test_sites_of_several_threads_are_what_they_are_one_after_the_other(pins: dict[str, Any]) -> None:
    sites = [real_site(well) for well in ("02-A-02", "25-C-01", "48-D-12")] * 2
    one_after_the_other = [measure_planes(planes, pins) for planes in sites[:3]]
    with ThreadPoolExecutor(4) as pool:
        for index, found in enumerate(pool.map(lambda planes: measure_planes(planes, pins), sites)):
            assert_same(found, one_after_the_other[index % 3])


def test_what_goes_to_a_worker_and_back_is_small_and_holds_no_array(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    plan: Plan = plan_work(job)
    task = site_task(job, plan.todo[0])
    outcome = process_site(task, measure_planes)
    for message, kind in ((task, SiteTask), (outcome, SiteOutcome)):
        assert isinstance(message, kind)
        assert len(pickle.dumps(message)) < 16_000
        assert not list(arrays_of(message))


def arrays_of(value: Any) -> Iterator[Any]:
    """What in a message is a buffer of its own (pickled out of band) rather than text and numbers."""
    buffers: list[pickle.PickleBuffer] = []
    pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    yield from buffers
    json.dumps(value, default=lambda item: {name: getattr(item, name) for name in item.__dataclass_fields__})
