"""A site in a process of its own: what ends that process without being the site's fault is no failure of the site."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from flows.isolation import measure_apart
from imaging.errors import CrashedSiteError, MissingPartError
from imaging.site import SiteTask
from imaging.steps import plan_work, site_task
from tests.flows import told_to_end
from tests.imaging.small_plate import make_job
from tests.parts import find_part


@pytest.fixture
def task(tmp_path: Path) -> SiteTask:
    job = make_job(tmp_path)
    job.ensure_pins()
    return site_task(job, plan_work(job).todo[0])


def test_a_notice_for_the_whole_machine_leaves_a_site_time_to_end(task: SiteTask) -> None:
    assert measure_apart(task, told_to_end.__name__).status == "done"


def test_a_process_that_was_told_to_end_is_no_crash(task: SiteTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(told_to_end.AS_IT_BEGINS, "yes")
    with pytest.raises(CrashedSiteError, match="SIGTERM: it was told to end, as when its machine is taken away") as it:
        measure_apart(task, told_to_end.__name__)
    assert pickle.loads(pickle.dumps(it.value)).retryable, "as it comes from the worker"


def test_a_crash_is_not_tried_for_ever(task: SiteTask) -> None:
    with pytest.raises(CrashedSiteError, match="SIGKILL") as it:
        measure_apart(task, "tests.flows.crash")
    assert not it.value.retryable


@pytest.mark.skipif(bool(find_part("gpu")), reason="this machine has a GPU")
def test_a_device_that_is_lost_is_not_the_sites_fault(task: SiteTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATESTREAM_DEVICE", "cuda")
    with pytest.raises(MissingPartError, match="device must be cpu on this machine, got 'cuda'") as it:
        measure_apart(task)
    assert pickle.loads(pickle.dumps(it.value)).retryable, "as it comes from the worker"
