"""What of the facts is an alert, and its words: pure functions.

    store-silent          the plates of the store cannot be listed
    experiment-at-fault   an experiment whose plates cannot be looked at at all
    plate-at-fault        the same of one plate
    plate-stuck           there is work, and nothing of it gets done
    plate-waiting         images are missing, and none comes
    cluster-silent        the Dask scheduler does not answer
    cluster-idle          sites are ready, and the cluster has none; or workers without work that should have gone
    worker-failing        a worker fails at every site while others do not
    sites-failing         every worker that has sites fails at all of them
    server-silent         the Prefect server does not answer
    queue-aging           a site with all its images waits for very long
    runs-waiting          a flow run waits for very long for somebody to run it
    quality-collapsed     of the last plates of an experiment much more fails than before
    disk-near-full        a disk has little room left

An alert that follows from another names it as what it is covered by, and is not told beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

from flows.watchdogs.alert import Alert, inline, moment_words, named, since_words
from flows.watchdogs.cluster_alerts import find_cluster_alerts
from flows.watchdogs.facts import (
    DiskFacts,
    Facts,
    FaultFacts,
    PlateFacts,
    PlateQuality,
    QualityFacts,
    RunFacts,
)
from imaging.sentences import counted

LAST_PLATES, FEWEST_BEFORE = 3, 5
"""Plates whose quality is looked at, and earlier ones that are needed to compare them with."""
LEAST_SHARE, TIMES_WORSE, SHARE_ALONE = 0.1, 3.0, 0.5
"""Share from which on failures are a collapse, if it is so many times the usual; without earlier plates, the share."""
CAUSES = frozenset({"store-silent", "server-silent", "runs-waiting", "cluster-silent", "cluster-idle", "sites-failing"})
"""Kinds of alerts that keep plates from going on."""
LONGEST_QUALITY_S = 3 * 86_400.0
"""Seconds after the last publication in which a collapse is still one: then nothing is imaged that could be saved."""
DISK_LEVELS = (1.0, 0.4, 0.1)
"""Parts of the limit at which a disk's alert is told again: near full, nearly full, full."""
GIB, MIB = 2**30, 2**20


def find_alerts(facts: Facts) -> list[Alert]:
    """Find what is wrong: causes before what follows from them."""
    cluster = find_cluster_alerts(facts)
    server = [*_of_store(facts), *_of_server(facts)]
    plates = [alert for plate in facts.plates for alert in _of_plate(plate, facts, cluster, server)]
    return [
        *(alert for disk in facts.disks for alert in _of_disk(disk, facts)),
        *server,
        *cluster,
        *_of_queue(facts, [*server, *cluster]),
        *_of_faults(facts),
        *plates,
        *(alert for quality in facts.quality for alert in _of_quality(quality, facts.now)),
    ]


def _of_faults(facts: Facts) -> Iterator[Alert]:
    whole = {fault.experiment for fault in facts.faults if not fault.plate}
    for fault in facts.faults:
        if facts.now - fault.since < facts.limits.cause_s or (fault.plate and fault.experiment in whole):
            continue
        yield _of_fault(fault, facts.now)


def _of_fault(fault: FaultFacts, now: float) -> Alert:
    since = since_words(fault.since, now)
    if not fault.plate:
        what = f"no plate of the experiment {fault.experiment} could be processed {since}: "
        what += inline(fault.problem)
        to_do = "once that is mended, the watcher goes on by itself"
        return Alert("experiment-at-fault", fault.experiment, fault.since, what, to_do, fault.experiment)
    place = f"{fault.experiment}/{fault.plate}"
    what = f"{place} could not be processed {since}: {inline(fault.problem)}"
    to_do = "once that is mended, the watcher goes on by itself"
    return Alert("plate-at-fault", place, fault.since, what, to_do, fault.experiment, fault.plate)


def _of_plate(plate: PlateFacts, facts: Facts, cluster: Sequence[Alert], server: Sequence[Alert]) -> Iterator[Alert]:
    still_s = facts.now - plate.still_since
    if still_s < facts.limits.after_s:
        return
    subject = f"{plate.place}/{plate.recipe}"
    said = {"experiment": plate.experiment, "plate": plate.plate, "recipe": plate.recipe, "run": plate.follower}
    since = since_words(plate.still_since, facts.now)
    if not plate.work:
        if plate.images_arrived and plate.given_up_at is not None and plate.given_up_at > facts.now:
            there = f"{plate.images_arrived} of {plate.images_expected} are there"
            what = f"no image of {plate.place} has come {since}, and {there}"
            to_do = (
                "look at the microscope and at what copies its files; what is not there at "
                f"{moment_words(plate.given_up_at)} is given up, and the plate is published without it"
            )
            yield Alert("plate-waiting", subject, plate.still_since, what, to_do, **said)
        return
    what = f"nothing of {plate.place} has been done {since}, although there is work ({plate.work})"
    alert = Alert("plate-stuck", subject, plate.still_since, what, "", **said)
    if plate.refusal:
        yield replace(alert, what=f"{plate.place} has got no work {since}", to_do=plate.refusal, level="refused")
    elif plate.follower:
        what = f"{what} and somebody follows it ({plate.follower})"
        to_do = "look at the log of that run and of the workers; `platestream doctor` says whether the cluster works"
        yield replace(alert, what=what, to_do=to_do, covered_by=_first(cluster))
    else:
        to_do = (
            "nobody follows it, so see whether runs are run (`platestream doctor`), or process it here: `platestream "
            f"process --experiment {plate.experiment} --plate {plate.plate}`"
        )
        yield replace(alert, to_do=to_do, covered_by=_first([*server, *cluster]))


def _of_store(facts: Facts) -> Iterator[Alert]:
    store = facts.store
    if store is None or store.silent_since is None or facts.now - store.silent_since < facts.limits.cause_s:
        return
    since = since_words(store.silent_since, facts.now)
    what = f"the plates of the store {store.address} could not be listed {since}: {inline(store.problem)}"
    to_do = (
        "no plate gets a run until they can, so see whether the folder is mounted or the bucket answers (`platestream "
        "doctor`); what is known of plates and their alerts stays as it is"
    )
    yield Alert("store-silent", store.address, store.silent_since, what, to_do)


def _of_server(facts: Facts) -> list[Alert]:
    runs = facts.runs
    if runs is None:
        return []
    if runs.silent_since is not None:
        if facts.now - runs.silent_since < facts.limits.cause_s:
            return []
        what = f"the Prefect server at {runs.address} has not answered {since_words(runs.silent_since, facts.now)}"
        to_do = "no new plate gets a run until it is back, so look at its log and start it again"
        return [Alert("server-silent", runs.address, runs.silent_since, what, to_do)]
    if runs.late_since is None or facts.now - runs.late_since < facts.limits.after_s:
        return []
    return [_late_alert(runs, runs.late_since, facts.now)]


def _late_alert(runs: RunFacts, since: float, now: float) -> Alert:
    some = f"{counted(runs.late, 'flow run')} {'waits' if runs.late == 1 else 'wait'}"
    first = since_words(since, now)
    what = f"{some} at the Prefect server at {runs.address} for somebody to run {'it' if runs.late == 1 else 'them'}, "
    what += first if runs.late == 1 else f"the first {first}"
    to_do = (
        "see whether the runner or `prefect worker` runs; if it does, all places are taken: raise concurrency_limit in "
        "deployments/ or PLATESTREAM_PLATES_AT_ONCE"
    )
    return Alert("runs-waiting", runs.address, since, what, to_do)


def _of_queue(facts: Facts, causes: Sequence[Alert]) -> Iterator[Alert]:
    waiting = [plate for plate in facts.plates if plate.ready_since is not None and not plate.refusal]
    waiting.sort(key=lambda plate: plate.ready_since or 0.0)
    if not waiting or waiting[0].ready_since is None:
        return
    first, since = waiting[0], waiting[0].ready_since
    age_s = facts.now - since
    if age_s < facts.limits.queue_s:
        return
    ready = sum(plate.ready for plate in waiting)
    there = facts.cluster.workers if facts.cluster else 0
    workers = counted(there, "worker") if there else "a worker"
    what = (
        f"the queue ages: {counted(ready, 'site')} of {named(waiting)} "
        f"{'waits' if ready == 1 else 'wait'} for {workers}, the first (of {first.place}) "
        f"{since_words(since, facts.now)}"
    )
    to_do = "images come faster than sites are done, so give the cluster more workers; nothing is lost meanwhile"
    doublings = int(age_s // facts.limits.queue_s).bit_length()
    yield Alert("queue-aging", "sites", since, what, to_do, level=str(doublings), covered_by=_first(causes))


def _of_quality(quality: QualityFacts, now: float) -> Iterator[Alert]:
    last, before = quality.plates[:LAST_PLATES], quality.plates[LAST_PLATES:]
    if len(last) < LAST_PLATES or now - last[0].published_at > LONGEST_QUALITY_S:
        return
    found = []
    for kind, share_of in (("sites", lambda plate: plate.sites), ("images", lambda plate: plate.images)):
        shares = [share_of(plate) for plate in last]
        usual = statistics.median(map(share_of, before)) if len(before) >= FEWEST_BEFORE else None
        limit = SHARE_ALONE if usual is None else max(LEAST_SHARE, TIMES_WORSE * usual)
        if statistics.fmean(shares) >= limit and sum(share >= limit for share in shares) > LAST_PLATES / 2:
            compared = "with no earlier plates" if usual is None else f"before: {usual:.1%}"
            found.append((kind, f"{statistics.fmean(shares):.0%} of the {kind} ({compared})"))
    if found:
        yield _quality_alert(quality, last, found)


def _quality_alert(quality: QualityFacts, last: Sequence[PlateQuality], found: Sequence[tuple[str, str]]) -> Alert:
    since = min(plate.published_at for plate in last)
    names = ", ".join(plate.plate for plate in reversed(last))
    what = (
        f"the quality of {quality.experiment} collapsed: of its last {len(last)} plates ({names}), published since "
        f"{moment_words(since)}, {' and '.join(words for _, words in found)} failed"
    )
    to_do = "look at the page of the last one before more is imaged: focus, exposure, staining, or a wrong channel"
    level = "+".join(kind for kind, _ in found)
    subject = f"{quality.experiment}/{quality.recipe}"
    said = {"experiment": quality.experiment, "plate": last[0].plate, "recipe": quality.recipe}
    return Alert("quality-collapsed", subject, since, what, to_do, **said, level=level)


def room_words(disk: DiskFacts) -> str:
    """Room of a disk: ``40.0 of 1,000.0 GiB``, of a small one in MiB."""
    size, unit = (GIB, "GiB") if disk.total_bytes >= GIB else (MIB, "MiB")
    return f"{disk.free_bytes / size:,.1f} of {disk.total_bytes / size:,.1f} {unit}"


def disk_percent(disk: DiskFacts) -> float:
    """Percentage of a disk that is left, of its room or of its names, whichever is less."""
    return 100 * min(disk.free_bytes / disk.total_bytes if disk.total_bytes else 1.0, disk.free_names)


def _of_disk(disk: DiskFacts, facts: Facts) -> Iterator[Alert]:
    left, limit = disk_percent(disk), facts.limits.disk_percent
    if left >= limit:
        return
    since = facts.now if disk.little_since is None else disk.little_since
    level = sum(left < part * limit for part in DISK_LEVELS)
    words = ("nearly full", "nearly full", "almost full", "full")[level]
    names = f" and {disk.free_names:.1%} of its inodes" if 100 * disk.free_names < limit else ""
    what = (
        f"the disk of {disk.what} ({disk.folder} on {disk.machine}) has been {words} {since_words(since, facts.now)}: "
        f"{room_words(disk)}{names} are free"
    )
    to_do = "make room or move it to a larger disk; when it is full, sites fail and begin again once there is room"
    yield Alert("disk-near-full", f"{disk.machine} {disk.what}", since, what, to_do, level=str(level))


def _first(alerts: Sequence[Alert]) -> str:
    """Name of the first alert that keeps plates from going on; empty where there is none."""
    return next((alert.name for alert in alerts if alert.kind in CAUSES and alert.level != "cost"), "")
