"""What of the Dask cluster's facts is an alert, and its words: pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flows.watchdogs.alert import Alert, inline, named, since_words
from flows.watchdogs.facts import ClusterFacts, Facts, PlateFacts, WorkerFacts
from imaging.cost_words import time_words
from imaging.sentences import counted

FEWEST_FAILURES, FEWEST_SITES = 5, 3
"""Failures in a row, and different sites among them, from which on a worker or the sites are called failing."""


def find_cluster_alerts(facts: Facts) -> list[Alert]:
    """Find what is wrong with the cluster."""
    cluster = facts.cluster
    if cluster is None:
        return []
    busy = [plate for plate in facts.plates if plate.ready and not plate.refusal]
    if cluster.silent_since is not None:
        return _of_silence(cluster, cluster.silent_since, busy, facts)
    found = list(_of_workers(cluster, facts))
    if cluster.idle_since is None or not cluster.workers:
        return found
    ready = sum(plate.ready for plate in busy)
    ready_since = min((plate.ready_since for plate in busy if plate.ready_since is not None), default=None)
    if ready and ready_since is not None:
        since = max(cluster.idle_since, ready_since)
        if facts.now - since >= facts.limits.cause_s:
            found.append(_idle_alert(cluster, busy, since, facts.now))
    elif _is_too_large(cluster) and facts.now - cluster.idle_since >= 2 * facts.limits.idle_s:
        found.append(_costly_alert(cluster, cluster.idle_since, facts))
    return found


def _is_too_large(cluster: ClusterFacts) -> bool:
    return cluster.floor is not None and cluster.workers > cluster.floor


def _of_silence(cluster: ClusterFacts, since: float, busy: Sequence[PlateFacts], facts: Facts) -> list[Alert]:
    if facts.now - since < facts.limits.cause_s or not (busy or facts.plates):
        return []
    waiting = f", and {counted(sum(plate.ready for plate in busy), 'site')} of {named(busy)} wait" if busy else ""
    what = f"the Dask scheduler at {cluster.address} has not answered {since_words(since, facts.now)}{waiting}"
    to_do = "look at the log of the cluster (`platestream cluster`), and start it again if it does not run"
    return [Alert("cluster-silent", cluster.address, since, what, to_do)]


def _idle_alert(cluster: ClusterFacts, busy: Sequence[PlateFacts], since: float, now: float) -> Alert:
    ready = sum(plate.ready for plate in busy)
    followed = [plate for plate in busy if plate.follower]
    what = (
        f"the cluster at {cluster.address} has been idle {since_words(since, now)}: "
        f"{counted(cluster.workers, 'worker')} and nothing to do, although {counted(ready, 'site')} "
        f"of {named(busy)} {'is' if ready == 1 else 'are'} ready"
    )
    if followed:
        to_do = (
            f"a run follows {named(followed)} and hands out nothing, so look at its log; if it is stuck, cancel it, "
            "and another takes its place"
        )
    else:
        to_do = "nobody follows these plates, so see whether the runner or `prefect worker` runs (`platestream doctor`)"
    return Alert("cluster-idle", cluster.address, since, what, to_do, level="work")


def _costly_alert(cluster: ClusterFacts, since: float, facts: Facts) -> Alert:
    above = cluster.workers - (cluster.floor or 0)
    what = (
        f"the cluster at {cluster.address} has been idle {since_words(since, facts.now)}, and keeps "
        f"{counted(above, 'worker')} above its floor of {cluster.floor}, which were to go after "
        f"{time_words(facts.limits.idle_s)} and cost money"
    )
    to_do = "see whether `platestream cluster` runs, which sends them away, and what its log says"
    return Alert("cluster-idle", cluster.address, since, what, to_do, level="cost")


def _of_workers(cluster: ClusterFacts, facts: Facts) -> Iterator[Alert]:
    """A worker is at fault if others do well, and else the sites; who has not ended one yet is waited for."""
    failing = [each for each in cluster.failing if each.failed >= FEWEST_FAILURES and each.sites >= FEWEST_SITES]
    since = max((each.since for each in failing), default=facts.now)
    if cluster.workers <= 1 or any(at >= since for at in cluster.well_at):
        for each in failing:
            yield _worker_alert(cluster, each, facts.now)
    elif failing and (len(failing) == cluster.workers or facts.now - since >= facts.limits.cause_s):
        yield _sites_alert(cluster, failing, facts.now)


def _sites_alert(cluster: ClusterFacts, failing: Sequence[WorkerFacts], now: float) -> Alert:
    since = min(each.since for each in failing)
    sites, last = sum(each.failed for each in failing), max(failing, key=lambda each: each.since)
    which = "every worker" if len(failing) == cluster.workers else "every worker that had one"
    what = (
        f"every site has failed on {which} of the cluster at {cluster.address} {since_words(since, now)}: "
        f"{counted(sites, 'failure')} in a row, the last because of {inline(last.reason)}"
    )
    to_do = "what the sites share is at fault, such as the recipe, the storage or an upgrade: mend that"
    return Alert("sites-failing", cluster.address, since, what, to_do)


def _worker_alert(cluster: ClusterFacts, worker: WorkerFacts, now: float) -> Alert:
    what = (
        f"the worker {worker.name} of the cluster at {cluster.address} has failed at every site "
        f"{since_words(worker.since, now)}: {counted(worker.failed, 'failure')} in a row at "
        f"{'at least ' if worker.failed > worker.sites else ''}{counted(worker.sites, 'site')}, the last because of "
        f"{inline(worker.reason)}"
    )
    others = "others do not" if cluster.workers > 1 else "there is no other"
    to_do = f"{others}, so look at its log and its machine (disk, memory, GPU), and restart it"
    return Alert("worker-failing", f"{cluster.address} {worker.name}", worker.since, what, to_do)
