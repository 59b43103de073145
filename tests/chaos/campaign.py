"""Chaos on the real processes: ``make chaos SEEDS=20``, or ``make chaos SEED=123`` to repeat one.

    python -m tests.chaos.campaign [--seeds N | --seed N] [--hits N] [--faults KINDS] [--plant BUG] [--keep]

Three plates of two experiments arrive with all accidents (``delivery.py``) while processes are killed and stopped
(``processes.py``) and disk, clock and network fail (``faults``); then the results are held against a calm run's and
against what must hold whatever happens (``verdict.py``). The seed, printed first, decides all that is random. One line
of JSON per seed on the standard output, what happens on the standard error, a table at the end; exit status 0 only if
no seed broke anything. What is broken keeps its folder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from flows.supervise import interrupt_on_termination
from imaging.store import Store, open_store
from tests.chaos.delivery import plan_delivery
from tests.chaos.faults import Faults, planted
from tests.chaos.onlooker import Onlooker
from tests.chaos.plates import draw_plates
from tests.chaos.processes import Hit, Processes, find_marked, tell
from tests.chaos.script import FAULT_KINDS, LIMIT_S, LONGEST_STOP_S, Script, Troubles, write_script
from tests.chaos.stack import SETTLE_S, make_settings, run_stack
from tests.chaos.verdict import Outcome, judge
from tests.standins.gcs import GcsStandIn

TROUBLED_S = 12.0
"""Seconds of faults that are drawn for each hit, calm ones included."""
LOOKS_PER_HIT = 5
"""How often images may have to be sent for a hit: once for its troubles and once for itself, as a rule."""


@dataclass
class Result:
    """One run: its script, what was hit, how it came out."""

    script: Script
    hits: list[Hit]
    missed: list[str]
    faults: dict[str, int]
    seconds: float
    outcome: Outcome
    folder: Path | None = None

    def as_json(self) -> dict[str, object]:
        """One line for one seed."""
        return {
            "seed": self.script.seed,
            "store": "gs" if self.script.in_bucket else "folder",
            "killed": dict(Counter(hit.kind for hit in self.hits if not hit.stopped_s)),
            "stopped": dict(Counter(hit.kind for hit in self.hits if hit.stopped_s)),
            "missed": len(self.missed),
            "faults": self.faults,
            "redone": self.outcome.redone,
            "at_risk": self.outcome.at_risk,
            "in_flight": self.outcome.in_flight,
            "differences": len(self.outcome.differences),
            "broken": list(self.outcome.broken),
            "seconds": round(self.seconds),
        }


def run_script(script: Script, folder: Path) -> Result:
    """Run the stack through a script, and judge what came out."""
    started = time.monotonic()
    chance = random.Random(f"run {script.seed}")
    roots = (folder / "data", folder / "state")
    for root in roots:
        root.mkdir(parents=True)
    with Faults(folder / "faults", roots, script.seed) as faults, _open(script, folder, faults) as (store, address):
        delivery = plan_delivery(draw_plates(), chance, store.write)
        onlooker = Onlooker(store, delivery, SETTLE_S)
        delivery.declare()
        settings = make_settings(folder, address)
        environment = (faults.environment() if script.faults else {}) | planted.environment(script.planted)
        with run_stack(settings, folder, environment, is_light=script.is_light) as processes:
            tell("the stack is ready")
            drawn = faults.draw(chance, seconds=TROUBLED_S * len(script.hits), kinds=script.faults)
            missed = strike(script, onlooker, processes, Troubles(faults, drawn, len(script.hits)), chance)
            delivery.send(len(delivery.parcels))
            told = faults.told()
            broken = onlooker.wait_for_end(processes, script.limit_s)
            work = processes.work()
        left = find_marked(folder)
        fails = bool({"disk", "network"} & set(script.faults))
        outcome = judge(
            onlooker.jobs(), delivery, work, processes.hits, folder / "calm", time.time(), is_store_at_fault=fails
        )
    broken += [*missed, *outcome.broken, *onlooker.seen, *([f"processes {left} were left behind"] if left else [])]
    counted = {name: count for name, count in told.items() if count}
    outcome = replace(outcome, broken=tuple(broken))
    return Result(script, processes.hits, missed, counted, time.monotonic() - started, outcome)


@contextlib.contextmanager
def _open(script: Script, folder: Path, faults: Faults) -> Iterator[tuple[Store, str]]:
    """The store as nothing disturbs it, and the address under which the stack knows it."""
    if not script.in_bucket:
        yield open_store(str(folder / "data")), str(folder / "data")
        return
    with GcsStandIn() as gcs:
        gcs.create_bucket("lab")
        with faults.before(gcs.url) as proxy:
            yield open_store(gcs.address("lab/screens")), f"gs://lab/screens?endpoint={proxy.url}"


def strike(
    script: Script, onlooker: Onlooker, processes: Processes, troubles: Troubles, chance: random.Random
) -> list[str]:
    """Hit one process after the other while sites are in flight and other things fail.

    Images trickle in as long as this takes: without work in flight there is nothing to hit. Where there is nothing all
    the same, nothing more is hit. Returns a sentence for each hit that was not.
    """
    delivery = onlooker.delivery
    delivery.send(len(delivery.parcels) // 5)
    for number, (kind, stop_s) in enumerate(script.hits):
        few = max(1, len(delivery.parcels) // (LOOKS_PER_HIT * (len(script.hits) - number)))
        supply = partial(onlooker.supply, few)
        hit = None
        if processes.wait_for_work(supply):
            with troubles.begun():
                time.sleep(chance.uniform(0.0, 2.0))
                hit = processes.hit(kind, chance, supply, stop_s=stop_s)
                onlooker.look()
        if hit is None:
            return [f"no {each} was hit: none had a site in flight" for each, _ in script.hits[number:]]
        tell(str(hit))
        time.sleep(chance.uniform(0.0, 2.0))
        onlooker.look()
    return []


def run_seed(script: Script, *, keep: bool = False) -> Result:
    """Run one seed in a folder of its own, which is kept when something is broken."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{script.seed}-"))
    result = run_script(script, folder)
    if keep or not result.outcome.is_well:
        result.folder = folder
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run seeds, print a line for each and a table at the end."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.campaign", description="Chaos on the real processes.")
    parser.add_argument("--seeds", type=int, default=1, help="how many fresh seeds")
    parser.add_argument("--seed", type=int, default=None, help="one seed, to repeat it")
    parser.add_argument("--hits", type=int, default=8, help="processes killed or stopped per seed")
    parser.add_argument("--faults", default=",".join(FAULT_KINDS), help="disk, clock, network, or nothing")
    parser.add_argument(
        "--plant", action="append", default=[], choices=sorted(planted.PLANTS), help="a bug to be caught"
    )
    parser.add_argument("--longest-stop-s", type=float, default=LONGEST_STOP_S, help="of a process that is stopped")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="after the last hit, until all is published")
    parser.add_argument("--light", action="store_true", help="runs are started without Prefect")
    parser.add_argument("--keep", action="store_true", help="keep the folders of all seeds")
    given = parser.parse_args(arguments)
    faults = [kind for kind in given.faults.split(",") if kind]
    fresh = random.SystemRandom()
    seeds = [given.seed] if given.seed is not None else [fresh.randrange(1_000_000) for _ in range(given.seeds)]
    with interrupt_on_termination():
        results = run_seeds(seeds, given, faults)
    print_table(results)
    return 0 if all(result.outcome.is_well for result in results) else 1


def run_seeds(seeds: Sequence[int], given: argparse.Namespace, faults: Sequence[str]) -> list[Result]:
    """Run one seed after the other, and print a line for each."""
    results = []
    for seed in seeds:
        print(f"seed {seed}", file=sys.stderr, flush=True)
        script = write_script(
            seed, hits=given.hits, faults=faults, is_light=given.light, longest_stop_s=given.longest_stop_s
        )
        script = replace(script, planted=tuple(given.plant), limit_s=given.limit_s)
        result = run_seed(script, keep=given.keep)
        print(json.dumps(result.as_json()), flush=True)
        for sentence in (*result.outcome.differences[:10], *result.outcome.broken):
            print(f"    {sentence}", file=sys.stderr)
        if result.folder:
            print(f"    kept: {result.folder}", file=sys.stderr)
        results.append(result)
    return results


def print_table(results: Sequence[Result]) -> None:
    """One line per seed, and the sum."""
    print("    seed store  killed stopped faults redone at risk in flight differences broken seconds")
    for result in results:
        killed = sum(not hit.stopped_s for hit in result.hits)
        outcome = result.outcome
        print(
            f"{result.script.seed:>8} {'gs' if result.script.in_bucket else 'folder':6} {killed:>6} "
            f"{len(result.hits) - killed:>7} {sum(result.faults.values()):>6} {outcome.redone:>6} "
            f"{outcome.at_risk:>7} {outcome.in_flight:>9} {len(outcome.differences):>11} {len(outcome.broken):>6} "
            f"{result.seconds:>7.0f}"
        )
    well = sum(result.outcome.is_well for result in results)
    print(f"{well} of {len(results)} seeds broke nothing")


if __name__ == "__main__":
    sys.exit(main())
