"""What the watchdogs saw at one moment; times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on something is an alert.

    Parameters
    ----------
    after_s
        Seconds without progress. What causes it is told sooner, so that a plate's alert need not be told any more.
    queue_s
        Seconds that a site with all its images may wait.
    disk_percent
        Percentage of a disk below which its free space is little.
    idle_s
        Seconds after which the cluster lets workers without work go.
    """

    after_s: float = 1800.0
    queue_s: float = 7200.0
    disk_percent: float = 5.0
    idle_s: float = 900.0

    @property
    def cause_s(self) -> float:
        """Seconds after which a cause is told that keeps plates from going on."""
        return self.after_s / 3


@dataclass(frozen=True, slots=True)
class PlateFacts:
    """A plate that is not done, under one recipe.

    Parameters
    ----------
    experiment, plate, recipe
        The plate.
    work
        What there is to do, in words; empty where its images are waited for.
    ready
        Sites whose images are all there and that are not done.
    ready_since
        Since when the first of them waits.
    images_arrived, images_expected
        Images that are there, and that should be.
    given_up_at
        When images that are not there are given up; ``None`` where none is waited for.
    still_since
        Since when nothing about the plate changed.
    follower
        Who follows it, such as a flow run's id; empty for nobody.
    refusal
        Why it gets no more work, in a sentence; empty where it gets some.
    """

    experiment: str
    plate: str
    recipe: str
    work: str = ""
    ready: int = 0
    ready_since: float | None = None
    images_arrived: int = 0
    images_expected: int = 0
    given_up_at: float | None = None
    still_since: float = 0.0
    follower: str = ""
    refusal: str = ""

    @property
    def place(self) -> str:
        """The plate in words."""
        return f"{self.experiment}/{self.plate}"


@dataclass(frozen=True, slots=True)
class FaultFacts:
    """An experiment, or one of its plates, that cannot be looked at: why, and since when."""

    experiment: str
    plate: str
    problem: str
    since: float


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The store: its address, why and since when its plates cannot be listed; empty and ``None`` where they can."""

    address: str
    problem: str = ""
    silent_since: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A worker whose last tasks all failed: how many, at how many different sites, why the last, and since when."""

    name: str
    failed: int
    sites: int
    reason: str
    since: float


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """The Dask cluster.

    Parameters
    ----------
    address
        Address of its scheduler.
    silent_since
        Since when the scheduler does not answer; ``None`` if it does. Then nothing else is known.
    workers
        Workers that are there.
    floor
        Workers that stay without work; ``None`` where that is not ours to know.
    in_hand, waiting
        Sites that workers have, and that wait at the scheduler.
    idle_since
        Since when it has no site at all; ``None`` if it has one.
    failing
        Workers whose last sites all failed.
    well_at
        When each other worker last ended a site well; without those that never did.
    """

    address: str
    silent_since: float | None = None
    workers: int = 0
    floor: int | None = None
    in_hand: int = 0
    waiting: int = 0
    idle_since: float | None = None
    failing: tuple[WorkerFacts, ...] = ()
    well_at: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The Prefect server and its queue of runs.

    ``silent_since`` is ``None`` if it answers; ``late`` runs should have begun, the first of them at ``late_since``.
    """

    address: str
    silent_since: float | None = None
    late: int = 0
    late_since: float | None = None


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A disk of this machine: what lies on it, its folder, free and all bytes, the share of names left, since when."""

    what: str
    folder: str
    machine: str
    free_bytes: int
    total_bytes: int
    free_names: float = 1.0
    little_since: float | None = None


@dataclass(frozen=True, slots=True)
class PlateQuality:
    """What of one published plate failed, as shares from 0 to 1."""

    plate: str
    published_at: float
    sites: float
    images: float


@dataclass(frozen=True, slots=True)
class QualityFacts:
    """Published plates of an experiment under one recipe, the newest first."""

    experiment: str
    recipe: str
    plates: tuple[PlateQuality, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was seen at one moment; where it is not ``is_whole``, some plates could not be looked at."""

    now: float
    limits: Limits = Limits()
    plates: tuple[PlateFacts, ...] = ()
    faults: tuple[FaultFacts, ...] = ()
    cluster: ClusterFacts | None = None
    runs: RunFacts | None = None
    quality: tuple[QualityFacts, ...] = ()
    disks: tuple[DiskFacts, ...] = ()
    store: StoreFacts | None = None
    is_whole: bool = True
