"""Looks at everything that can be wrong, and remembers since when it is so."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from flows.plate_list import FAULTS
from flows.server import api_client
from flows.settings import Settings
from flows.watchdogs.alerts import disk_percent
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
    StoreFacts,
    WorkerFacts,
)
from flows.watchdogs.memory import Memory
from flows.watchdogs.open_plates import OpenPlate, OpenPlates
from imaging.errors import ConfigurationError, MissingPartError
from imaging.job import PlateJob, plate_job
from imaging.planning import Plan, SitePlan
from imaging.quality_history import QualityHistory
from imaging.records import heartbeat_key
from imaging.steps import is_followed
from imaging.store import Store

log = logging.getLogger(__name__)

OF_PLATES = "process-plate"
"""Deployment of the runs that plates wait for; those of others can wait, see prefect.yaml."""
LATE_S = 15.0
"""Seconds after which a run that should have begun waits for somebody to run it."""


@dataclass
class Gatherer:
    """Gathers facts for one watcher.

    Parameters
    ----------
    store, settings
        Where plates are, and where cluster, server and disks are.
    plates
        Plates that are not done, as the watcher knows them.
    memory
        Remembers since when things are as they are.
    need
        Says in words what there is to do for a plate; empty for nothing.
    """

    store: Store
    settings: Settings
    plates: OpenPlates
    memory: Memory
    need: Callable[[PlateJob, Plan], str]
    _said: str = ""
    _quality: dict[tuple[str, str], tuple[QualityHistory, QualityFacts | None]] = field(default_factory=dict)

    def gather(self, now: float) -> Facts:
        """Look at everything once."""
        settings = self.settings
        limits = Limits(
            settings.alert_after_s, settings.alert_queue_s, settings.alert_disk_percent, idle_s=settings.idle_s
        )
        loss, is_complete = self.plates.loss, self.plates.is_complete
        return Facts(
            now,
            limits,
            () if loss else tuple(self._plates(now)),
            () if loss else tuple(self._faults()),
            self._cluster(),
            self._runs(now),
            () if loss else tuple(self._qualities()),
            tuple(self._disks(limits)),
            StoreFacts(settings.store, loss, self.memory.since("store silent") if loss else None),
            is_whole=is_complete and not loss,
        )

    def _plates(self, now: float) -> Iterator[PlateFacts]:
        for each in self.plates.open():
            job = plate_job(self.store, each.experiment, each.plate, settle_s=self.settings.settle_s)
            try:
                found = self._plate(job, each, now)
            except FAULTS:  # the watcher meets the same fault, says it and tells us
                self.memory.hold(_subject(job))
                continue
            if found is not None:
                yield found

    def _plate(self, job: PlateJob, known: OpenPlate, now: float) -> PlateFacts | None:
        plan = job.survey(now)
        work = self.need(job, plan)
        if not work and (plan.is_publishable or not plan.has_arrivals):
            return None
        name = _subject(job)
        waits_since = self.memory.since(f"ready {name}") if plan.todo else None
        awaits = any(site.awaited for site in plan.sites)
        patience_s = job.experiment.patience_s
        return PlateFacts(
            job.experiment.name,
            job.plate,
            job.recipe,
            work=work,
            ready=len(plan.todo),
            ready_since=None if waits_since is None else max(waits_since, min(map(_complete_at, plan.todo))),
            images_arrived=plan.images_arrived,
            images_expected=plan.images_expected,
            given_up_at=plan.last_arrival + patience_s if awaits and plan.last_arrival is not None else None,
            still_since=self.memory.since(f"plate {name}", _progress(plan)),
            follower=self._follower(job) if is_followed(plan, stale_s=self.settings.heartbeat_stale_s, now=now) else "",
            refusal=known.refusal,
        )

    def _follower(self, job: PlateJob) -> str:
        try:
            return str(json.loads(self.store.read(heartbeat_key(job.prefix)))["follower"]) or "somebody"
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # just gone, or damaged: it is rewritten
            return "somebody"

    def _faults(self) -> Iterator[FaultFacts]:
        seen: set[tuple[str, str]] = set()
        for (experiment, plate, _), problem in sorted(self.plates.faults().items()):
            if (experiment, plate) not in seen:
                seen.add((experiment, plate))
                yield FaultFacts(experiment, plate, problem, self.memory.since(f"fault {experiment}/{plate}"))

    def _cluster(self) -> ClusterFacts | None:
        """What the scheduler says; nothing where this process cannot ask, for want of certificates."""
        from flows.clusters.look import ask  # loads Dask
        from flows.clusters.security import read_security

        address = self.settings.scheduler
        try:
            look = ask(address, read_security(self.settings))
        except ConfigurationError as error:
            if self._said != str(error):
                log.warning("whether the cluster is idle cannot be asked: %s", error)
            self._said = str(error)
            return None
        except MissingPartError:
            return ClusterFacts(address, silent_since=self.memory.since("cluster silent"))
        return ClusterFacts(
            address,
            workers=len(look.busy),
            floor=workers_floor(self.settings),
            in_hand=look.in_hand,
            waiting=look.waiting,
            idle_since=None if look.tasks else self.memory.since("cluster idle", look.ended),
            failing=tuple(
                WorkerFacts(name, found["failed"], len(found["sites"]), found["reason"], found["since"])
                for name, found in look.failing.items()
            ),
            well_at=tuple(at for name, at in look.well_at.items() if name not in look.failing),
        )

    def _runs(self, now: float) -> RunFacts:
        address = self.settings.api_url
        try:
            late = find_late_runs(self.settings, now)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):  # or something else answers there
            return RunFacts(address, silent_since=self.memory.since("server silent"))
        return RunFacts(address, late=len(late), late_since=min(late, default=None))

    def _qualities(self) -> Iterator[QualityFacts]:
        """Quality of experiments that have open plates or an alert, looked at anew when one of their plates is done."""
        wanted = {(each.experiment.name, each.experiment.recipe_id) for each in self.plates.open()}
        wanted |= {
            (each.alert.experiment, each.alert.recipe)
            for each in self.memory.standing.values()
            if each.alert.kind == "quality-collapsed"
        }
        done = self.plates.take_done()
        for key in sorted(done.keys() | (wanted - set(self._quality))):
            history, _ = self._quality.get(key, (QualityHistory(self.store, *key), None))
            try:
                newest = history.newest(done.get(key, ()))
            except FAULTS:  # looked at again when the next plate is done
                self.memory.hold("/".join(key))
                continue
            plates = tuple(PlateQuality(each.plate, each.published_at, each.sites, each.images) for each in newest)
            self._quality[key] = (history, QualityFacts(*key, plates))
        yield from (found for _, found in self._quality.values() if found is not None)

    def _disks(self, limits: Limits) -> Iterator[DiskFacts]:
        for disk in look_at_disks(self.settings):
            if disk_percent(disk) < limits.disk_percent:
                yield replace(disk, little_since=self.memory.since(f"disk {disk.what}"))
            else:
                yield disk


def look_at_disks(settings: Settings) -> Iterator[DiskFacts]:
    """The disks of this machine that we write to; one that several folders lie on once, none that cannot be asked."""
    folders = {
        "the store": store_folder(settings),
        "the services' state": settings.state_folder,
        "the cache": settings.cache_folder,
    }
    seen: set[int] = set()
    for what, folder in folders.items():
        place = _existing(folder)
        try:
            if place is None or (device := place.stat().st_dev) in seen:
                continue
            state = os.statvfs(place)
        except OSError:
            continue
        seen.add(device)
        # of a disk's room a part is root's alone: what is left of ours counts, against what was ever ours
        ours = state.f_blocks - (state.f_bfree - state.f_bavail)
        names = state.f_favail / state.f_files if state.f_files else 1.0
        room = (state.f_bavail * state.f_frsize, ours * state.f_frsize)
        yield DiskFacts(what, str(place), platform.node(), *room, free_names=names)


def store_folder(settings: Settings) -> Path | None:
    """Folder of the store; ``None`` where it is no folder."""
    if "://" not in settings.store:
        return Path(settings.store)
    parts = urlsplit(settings.store)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _existing(folder: Path | None) -> Path | None:
    """The folder, or what of the way to it there is."""
    return next((place for place in (folder, *folder.parents) if place.exists()), None) if folder else None


def workers_floor(settings: Settings) -> int | None:
    """Workers that the settings let stay without work; ``None`` where all do, or it is not ours to know."""
    if settings.compute in ("local", "cuda"):
        return settings.workers_floor
    if settings.compute != "gke":
        return None
    from flows.declared import read_environment

    try:
        section = read_environment(settings.environment).cluster
    except (ConfigurationError, MissingPartError):
        return None
    return section.workers.floor if section else None


def find_late_runs(settings: Settings, now: float) -> list[float]:
    """Since when each flow run of a plate waits for somebody to run it, the first 200 of them.

    Raises
    ------
    httpx.HTTPError, ValueError, KeyError, TypeError
        If the server does not answer, or something else does.
    """
    before = datetime.fromtimestamp(now - LATE_S, UTC)
    runs: dict[str, Any] = {
        "state": {"name": {"any_": ["Scheduled", "Late", "AwaitingConcurrencySlot"]}},
        "expected_start_time": {"before_": before.isoformat()},
    }
    deployments = {"name": {"any_": [OF_PLATES]}}
    question = {"flow_runs": runs, "deployments": deployments, "sort": "EXPECTED_START_TIME_ASC", "limit": 200}
    with api_client(settings.api_url, auth=settings.auth) as client:
        answer = client.post("/flow_runs/filter", json=question).raise_for_status().json()
    return [datetime.fromisoformat(run["expected_start_time"]).timestamp() for run in answer]


def _subject(job: PlateJob) -> str:
    """A plate under a recipe, as alerts and sightings name it."""
    return f"{job.experiment.name}/{job.plate}/{job.recipe}"


def _complete_at(site: SitePlan) -> float:
    """When the last image of a site came."""
    return max((file.modified for file in site.files.values()), default=0.0)


def _progress(plan: Plan) -> tuple[int, ...]:
    """What changes when anything of a plate gets done or arrives."""
    counted = [len(plan.of(state)) for state in ("done", "failed", "missing", "previewed")]
    return (*counted, plan.images_arrived, len(plan.faulted), plan.records.last_publication)
