"""Which facts are an alert, and in which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flows.watchdogs.alert import Alert
from flows.watchdogs.alerts import GIB, find_alerts
from flows.watchdogs.facts import (
    ClusterFacts,
    DiskFacts,
    Facts,
    FaultFacts,
    Limits,
    PlateFacts,
    PlateQuality,
    QualityFacts,
    RunFacts,
    WorkerFacts,
)

NOW = 1_770_091_500.0  # 2026-02-03 04:05 UTC
FACTS = Facts(NOW, Limits())
SERVER = "http://127.0.0.1:4200/api"
PLATE = PlateFacts(
    "screen",
    "P1",
    "v1-0",
    work="96 sites to process",
    ready=96,
    ready_since=NOW - 1860,
    images_arrived=192,
    images_expected=192,
    still_since=NOW - 1860,
)
CLUSTER = ClusterFacts("tcp://lab:8786", workers=4, floor=4)
WORKER = WorkerFacts("3", 12, 12, "CudaError('out of memory').", NOW - 60)
DISK = DiskFacts("the store", "/lab/plates", "lab1", 40 * GIB, 1000 * GIB, little_since=NOW - 60)


def only(facts: Facts) -> Alert:
    (alert,) = find_alerts(facts)
    return alert


def told(facts: Facts) -> list[str]:
    """Kinds of the alerts that nothing else explains."""
    return [alert.kind for alert in find_alerts(facts) if not alert.covered_by]


def test_of_a_system_at_work_there_is_nothing_to_tell() -> None:
    at_work = replace(PLATE, still_since=NOW - 1740, ready_since=NOW - 1740)
    cluster = replace(CLUSTER, in_hand=4)
    runs = RunFacts(SERVER, late=2, late_since=NOW - 60)
    disk = replace(DISK, free_bytes=51 * GIB)
    good = tuple(PlateQuality(f"P{number}", NOW - number, 0.0, 0.02) for number in range(9))
    quality = (QualityFacts("screen", "v1-0", good),)
    facts = Facts(NOW, plates=(at_work,), cluster=cluster, runs=runs, disks=(disk,), quality=quality)
    assert find_alerts(facts) == []


def test_a_plate_whose_work_nobody_does() -> None:
    alert = only(replace(FACTS, plates=(PLATE,)))
    assert alert.sentence == (
        "nothing of screen/P1 has been done since 2026-02-03 03:34 UTC (31 min), although there is work (96 sites to "
        "process); nobody follows it, so see whether runs are run (`platestream doctor`), or process it here: "
        "`platestream process --experiment screen --plate P1`"
    )
    assert (alert.name, alert.since) == ("plate-stuck:screen/P1/v1-0", NOW - 1860)
    assert (alert.experiment, alert.plate, alert.recipe, alert.run) == ("screen", "P1", "v1-0", "")


def test_a_plate_whose_follower_does_nothing_names_the_run() -> None:
    alert = only(replace(FACTS, plates=(replace(PLATE, follower="run-7"),)))
    assert alert.run == "run-7"
    assert "and somebody follows it (run-7); look at the log of that run" in alert.sentence
    assert alert.level == only(replace(FACTS, plates=(PLATE,))).level  # who follows changes often, and is no news


def test_a_plate_that_gets_no_work_says_which_budget_or_place_is_the_reason() -> None:
    refused = replace(PLATE, refusal="the plate's budget is used up, no new site is begun; raise it")
    alert = only(replace(FACTS, plates=(refused,)))
    assert alert.sentence == (
        "screen/P1 has got no work since 2026-02-03 03:34 UTC (31 min); the plate's budget is used up, no new site is "
        "begun; raise it"
    )


WAITING = replace(PLATE, work="", ready=0, ready_since=None, images_arrived=120, given_up_at=NOW + 3600)


def test_a_plate_whose_images_stop_coming() -> None:
    assert only(replace(FACTS, plates=(WAITING,))).sentence == (
        "no image of screen/P1 has come since 2026-02-03 03:34 UTC (31 min), and 120 of 192 are there; look at the "
        "microscope and at what copies its files; what is not there at 2026-02-03 05:05 UTC is given up, and the plate "
        "is published without it"
    )


@pytest.mark.parametrize("given_up_at", [None, NOW - 1])
def test_of_a_plate_that_waits_for_no_image_any_more_there_is_nothing_to_tell(given_up_at: float | None) -> None:
    assert find_alerts(replace(FACTS, plates=(replace(WAITING, given_up_at=given_up_at),))) == []


def test_an_idle_cluster_is_told_before_its_plates_and_instead_of_them() -> None:
    plates = tuple(replace(PLATE, plate=f"P{number}") for number in range(1, 5))
    facts = replace(FACTS, plates=plates, cluster=replace(CLUSTER, idle_since=NOW - 900))
    assert told(facts) == ["cluster-idle"]
    assert find_alerts(facts)[0].sentence == (
        "the cluster at tcp://lab:8786 has been idle since 2026-02-03 03:50 UTC (15 min): 4 workers and nothing to do, "
        "although 384 sites of screen/P1, screen/P2 and 2 more plates are ready; nobody follows these plates, so see "
        "whether the runner or `prefect worker` runs (`platestream doctor`)"
    )
    early = replace(facts, plates=tuple(replace(each, still_since=NOW - 700) for each in plates))
    assert [alert.kind for alert in find_alerts(early)] == ["cluster-idle"]


def test_a_run_that_hands_nothing_to_an_idle_cluster_is_to_be_cancelled() -> None:
    plate = replace(PLATE, follower="run-7", ready=1)
    alert = find_alerts(replace(FACTS, plates=(plate,), cluster=replace(CLUSTER, idle_since=NOW - 900)))[0]
    assert "1 site of screen/P1 is ready; a run follows screen/P1 and hands out nothing" in alert.sentence


def test_a_cluster_is_idle_from_when_it_could_have_had_work() -> None:
    plate = replace(PLATE, ready_since=NOW - 30, still_since=NOW - 30)
    assert find_alerts(replace(FACTS, plates=(plate,), cluster=replace(CLUSTER, idle_since=NOW - 9000))) == []


def test_plates_that_get_no_work_do_not_make_a_cluster_idle() -> None:
    plate = replace(PLATE, refusal="no place")
    facts = replace(FACTS, plates=(plate,), cluster=replace(CLUSTER, idle_since=NOW - 9000))
    assert told(facts) == ["plate-stuck"]


def test_workers_without_work_that_should_have_gone_cost_money() -> None:
    cluster = replace(CLUSTER, idle_since=NOW - 1860, floor=1)
    assert only(replace(FACTS, cluster=cluster)).sentence == (
        "the cluster at tcp://lab:8786 has been idle since 2026-02-03 03:34 UTC (31 min), and keeps 3 workers above "
        "its floor of 1, which were to go after 15 min and cost money; see whether `platestream cluster` runs, which "
        "sends them away, and what its log says"
    )
    assert find_alerts(replace(FACTS, cluster=replace(cluster, idle_since=NOW - 1700))) == []
    for floor in (4, None):
        assert find_alerts(replace(FACTS, cluster=replace(cluster, floor=floor))) == []


def test_a_silent_scheduler_explains_why_plates_get_nowhere() -> None:
    facts = replace(FACTS, plates=(PLATE,), cluster=replace(CLUSTER, silent_since=NOW - 660))
    assert told(facts) == ["cluster-silent"]
    assert find_alerts(facts)[0].sentence == (
        "the Dask scheduler at tcp://lab:8786 has not answered since 2026-02-03 03:54 UTC (11 min), and 96 sites of "
        "screen/P1 wait; look at the log of the cluster (`platestream cluster`), and start it again if it does not run"
    )
    assert find_alerts(replace(facts, plates=())) == []  # a cluster that is switched off when nothing is imaged


def test_a_worker_that_fails_at_every_site_while_others_do_not() -> None:
    assert only(replace(FACTS, cluster=replace(CLUSTER, failing=(WORKER,), well_at=(NOW - 30,)))).sentence == (
        "the worker 3 of the cluster at tcp://lab:8786 has failed at every site since 2026-02-03 04:04 UTC (1 min): 12 "
        "failures in a row at 12 sites, the last because of CudaError('out of memory'); others do not, so look at its "
        "log and its machine (disk, memory, GPU), and restart it"
    )


@pytest.mark.parametrize("few", [{"failed": 4}, {"sites": 2}])
def test_a_few_failures_or_those_of_one_bad_site_are_no_fault_of_the_worker(few: dict[str, int]) -> None:
    worker = replace(WORKER, **few)  # pyright: ignore[reportArgumentType]
    assert find_alerts(replace(FACTS, cluster=replace(CLUSTER, failing=(worker,)))) == []


def test_sites_that_fail_on_all_workers_are_one_alert_and_no_fault_of_a_worker() -> None:
    cluster = replace(CLUSTER, workers=2, failing=(WORKER, replace(WORKER, name="1")))
    facts = replace(FACTS, cluster=cluster, plates=(PLATE,))
    assert told(facts) == ["sites-failing"]
    assert "every site has failed on every worker" in find_alerts(facts)[0].sentence
    assert "24 failures in a row" in find_alerts(facts)[0].sentence


def test_whether_a_worker_or_its_sites_are_at_fault_is_told_once_another_ended_one_well_or_had_the_time_to() -> None:
    def told_of(since: float, *well_at: float) -> list[str]:
        cluster = replace(CLUSTER, failing=(replace(WORKER, since=since),), well_at=well_at)
        return told(replace(FACTS, cluster=cluster))

    assert told_of(NOW - 60) == told_of(NOW - 60, NOW - 90) == []
    assert told_of(NOW - 60, NOW - 90, NOW - 10) == ["worker-failing"]
    assert told_of(NOW - 660) == told_of(NOW - 660, NOW - 700) == ["sites-failing"]
    assert told_of(NOW - 660, NOW - 10) == ["worker-failing"]


def test_an_idle_worker_does_not_keep_failing_sites_from_being_told() -> None:
    failing = tuple(replace(WORKER, name=name, since=NOW - 900) for name in "123")
    alert = only(replace(FACTS, cluster=replace(CLUSTER, failing=failing)))
    assert "every site has failed on every worker that had one of the cluster at tcp://lab:8786" in alert.what


def test_the_only_worker_that_fails_is_told_with_that() -> None:
    alert = only(replace(FACTS, cluster=replace(CLUSTER, workers=1, failing=(replace(WORKER, failed=30, sites=20),))))
    assert "30 failures in a row at at least 20 sites" in alert.sentence
    assert "there is no other, so look at its log" in alert.sentence


def test_a_silent_prefect_server_explains_why_nobody_follows() -> None:
    facts = replace(FACTS, plates=(PLATE,), runs=RunFacts(SERVER, silent_since=NOW - 660))
    assert told(facts) == ["server-silent"]
    followed = replace(facts, plates=(replace(PLATE, follower="run-7"),))
    assert told(followed) == ["server-silent", "plate-stuck"]  # who follows needs no server


def test_runs_that_nobody_runs() -> None:
    facts = replace(FACTS, runs=RunFacts(SERVER, late=3, late_since=NOW - 1860), plates=(PLATE,))
    assert told(facts) == ["runs-waiting"]
    assert find_alerts(facts)[0].what == (
        "3 flow runs wait at the Prefect server at http://127.0.0.1:4200/api for somebody to run them, the first since "
        "2026-02-03 03:34 UTC (31 min)"
    )
    one = only(replace(FACTS, runs=RunFacts(SERVER, late=1, late_since=NOW - 1860)))
    assert "1 flow run waits" in one.what
    assert "to run it, since 2026-02-03" in one.what


def test_a_queue_that_ages_is_told_again_when_it_is_twice_as_old() -> None:
    old = replace(PLATE, ready_since=NOW - 7260, still_since=NOW)
    young = replace(old, plate="P2", ready_since=NOW - 10)
    facts = replace(FACTS, plates=(young, old), cluster=replace(CLUSTER, in_hand=4))
    alert = only(facts)
    assert alert.sentence == (
        "the queue ages: 192 sites of screen/P1 and screen/P2 wait for 4 workers, the first (of screen/P1) since "
        "2026-02-03 02:04 UTC (2 h 1 min); images come faster than sites are done, so give the cluster more workers; "
        "nothing is lost meanwhile"
    )
    levels = [
        only(replace(facts, plates=(replace(old, ready_since=NOW - hours * 3600.0),))).level
        for hours in (2, 3, 4, 7, 8)
    ]
    assert levels == ["1", "1", "2", "2", "3"]


def test_an_experiment_at_fault_is_told_once_and_not_for_each_of_its_plates() -> None:
    faults = (
        FaultFacts("screen", "P9", "the plate map lacks the column well.", NOW - 660),
        FaultFacts("other", "", "the experiment is\nnot declared", NOW - 660),
        FaultFacts("other", "P1", "the experiment is not declared", NOW - 660),
        FaultFacts("fresh", "", "the experiment is not declared", NOW - 60),
    )
    assert [alert.what for alert in find_alerts(replace(FACTS, faults=faults))] == [
        "screen/P9 could not be processed since 2026-02-03 03:54 UTC (11 min): the plate map lacks the column well",
        "no plate of the experiment other could be processed since 2026-02-03 03:54 UTC (11 min): the experiment is "
        "not declared",
    ]


def plates_of(last: tuple[float, ...], before: tuple[float, ...]) -> QualityFacts:
    shares = enumerate((*last, *before))
    return QualityFacts(
        "screen", "v1-0", tuple(PlateQuality(f"P{n}", NOW - 3600 * n, 0.0, share) for n, share in shares)
    )


def test_an_experiment_whose_quality_collapses() -> None:
    alert = only(replace(FACTS, quality=(plates_of((0.4, 0.5, 0.3), (0.02,) * 6),)))
    assert alert.sentence == (
        "the quality of screen collapsed: of its last 3 plates (P2, P1, P0), published since 2026-02-03 02:05 UTC, 40% "
        "of the images (before: 2.0%) failed; look at the page of the last one before more is imaged: focus, exposure, "
        "staining, or a wrong channel"
    )


@pytest.mark.parametrize(
    ("last", "before", "is_told"),
    [
        ((0.4, 0.0, 0.0), (0.02,) * 6, False),  # one bad plate is no collapse, its own verdict tells of it
        ((0.4, 0.4, 0.3), (0.2,) * 6, False),  # the experiment was always so
        ((0.09, 0.09, 0.09), (0.0,) * 6, False),  # little
        ((0.4, 0.4, 0.4), (0.0,) * 4, False),  # too few to compare with
        ((0.6, 0.6, 0.6), (), True),  # and so much that no comparison is needed
        ((0.9, 0.9), (), False),
    ],
)
def test_what_is_a_collapse(last: tuple[float, ...], before: tuple[float, ...], is_told: bool) -> None:
    assert bool(find_alerts(replace(FACTS, quality=(plates_of(last, before),)))) is is_told


def test_a_collapse_is_over_when_nothing_was_published_for_some_days() -> None:
    collapsed = plates_of((0.4, 0.5, 0.3), (0.02,) * 6)
    assert find_alerts(replace(FACTS, now=NOW + 2.9 * 86_400, quality=(collapsed,)))
    assert find_alerts(replace(FACTS, now=NOW + 3.1 * 86_400, quality=(collapsed,))) == []


def test_a_disk_is_told_again_as_it_fills() -> None:
    sizes = (49, 19, 4)
    alerts = [only(replace(FACTS, disks=(replace(DISK, free_bytes=size * GIB),))) for size in sizes]
    assert alerts[0].sentence == (
        "the disk of the store (/lab/plates on lab1) has been nearly full since 2026-02-03 04:04 UTC (1 min): 49.0 of "
        "1,000.0 GiB are free; make room or move it to a larger disk; when it is full, sites fail and begin again once "
        "there is room"
    )
    assert [alert.level for alert in alerts] == ["1", "2", "3"]
    assert "has been almost full since" in alerts[1].what
    assert "has been full since" in alerts[2].what
    assert len({alert.name for alert in alerts}) == 1


def test_the_room_of_a_small_disk_is_told_in_mebibytes() -> None:
    alert = only(replace(FACTS, disks=(replace(DISK, free_bytes=2**20, total_bytes=20 * 2**20, free_names=0.04),)))
    assert "1.0 of 20.0 MiB and 4.0% of its inodes are free" in alert.what


def test_a_disk_without_inodes_is_full_too() -> None:
    alert = only(replace(FACTS, disks=(replace(DISK, free_bytes=500 * GIB, free_names=0.004),)))
    assert "500.0 of 1,000.0 GiB and 0.4% of its inodes are free" in alert.what
