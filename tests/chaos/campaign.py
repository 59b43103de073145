"""Chaos on the real processes: ``make chaos SEEDS=20``, or ``make chaos SEED=123`` to repeat one.

    python -m tests.chaos.campaign [--seeds N | --seed N] [--hits N] [--faults KINDS] [--plant BUG] [--keep]

Three plates of two experiments arrive with all accidents (``delivery.py``) while processes are killed and stopped
(``processes.py``) and disk, clock and network fail (``faults``); then the results are held against a calm run's and
against what must hold whatever happens (``verdict.py``). The seed, printed first, decides all that is random. One line
of JSON per seed on the standard output, what happens on the standard error, a table at the end. Exit status: 0 if no
seed broke anything, 1 if one did, 2 if none did but the suite itself failed in one. What is broken keeps its folder.
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
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from flows.supervise import interrupt_on_termination
from imaging.store import Store, open_store
from tests.chaos.delivery import plan_delivery
from tests.chaos.faults import Faults, planted
from tests.chaos.onlooker import Onlooker
from tests.chaos.plates import draw_plates
from tests.chaos.processes import Hit, Processes, tell
from tests.chaos.script import FAULT_KINDS, LIMIT_S, LONGEST_STOP_S, Script, Troubles, write_script
from tests.chaos.stack import SETTLE_S, make_settings, run_stack
from tests.chaos.verdict import Outcome, judge, judge_processes
from tests.parts import PARTS, find_part
from tests.standins.gcs import GcsStandIn

TROUBLED_S = 12.0
"""Seconds of faults that are drawn for each hit, calm ones included."""
LOOKS_PER_HIT = 5
"""How often images may have to be sent for a hit: once for its troubles and once for itself, as a rule."""
UNJUDGED = Outcome(0, 0, 0, (), ())


@dataclass
class Result:
    """One run: its script, what was hit, how it came out."""

    script: Script
    folder: Path
    hits: list[Hit] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    troubles: dict[str, int] = field(default_factory=dict)
    """How often each fault was switched on."""
    faults: dict[str, int] = field(default_factory=dict)
    """How many calls and requests suffered from each."""
    broken: list[str] = field(default_factory=list)
    outcome: Outcome = UNJUDGED
    fault: str = ""
    """What went wrong in the suite itself, so that little can be said of the run."""
    seconds: float = 0.0

    @property
    def has_broken(self) -> bool:
        """Whether something was not as it must be."""
        return bool(self.broken or self.outcome.differences)

    def as_json(self) -> dict[str, object]:
        """One line for one seed."""
        return {
            "seed": self.script.seed,
            "store": "gs" if self.script.in_bucket else "folder",
            "killed": dict(Counter(hit.kind for hit in self.hits if not hit.stopped_s)),
            "stopped": dict(Counter(hit.kind for hit in self.hits if hit.stopped_s)),
            "missed": len(self.missed),
            "troubles": self.troubles,
            "faults": self.faults,
            "redone": self.outcome.redone,
            "at_risk": self.outcome.at_risk,
            "in_flight": self.outcome.in_flight,
            "differences": len(self.outcome.differences),
            "broken": self.broken,
            "fault": self.fault,
            "seconds": round(self.seconds),
        }


def run_script(result: Result) -> None:
    """Run the stack through a script, and judge what came out; all that is found goes into the result at once."""
    script, folder = result.script, result.folder
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
            result.hits = processes.hits
            drawn = faults.draw(chance, seconds=TROUBLED_S * len(script.hits), kinds=script.faults)
            result.missed = strike(script, onlooker, processes, Troubles(faults, drawn, len(script.hits)), chance)
            delivery.send(len(delivery.parcels))
            result.troubles = dict(faults.begun)
            result.faults = {name: count for name, count in faults.told().items() if count}
            result.broken += [*result.missed, *onlooker.wait_for_end(processes, script.limit_s), *onlooker.seen]
            work = processes.work()
        result.broken += judge_processes(folder)
        fails = bool({"disk", "network"} & set(script.faults))
        result.outcome = judge(
            onlooker.jobs(), delivery, work, processes.hits, folder / "calm", time.time(), is_store_at_fault=fails
        )
        result.broken += result.outcome.broken


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
    result = Result(script, Path(tempfile.mkdtemp(prefix=f"chaos-{script.seed}-")))
    started = time.monotonic()
    try:
        run_script(result)
    except Exception as error:  # noqa: BLE001 what fails in one seed must not cost what the others tell
        traceback.print_exc()
        result.fault = f"the suite itself failed: {type(error).__name__}: {error}"
    result.seconds = time.monotonic() - started
    if not (keep or result.has_broken or result.fault):
        shutil.rmtree(result.folder, ignore_errors=True)
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
    if faults and not find_part("gcc"):
        parser.error(f"faults need gcc: {PARTS['gcc'].cure}, or leave them out by --faults ''")
    fresh = random.SystemRandom()
    seeds = [given.seed] if given.seed is not None else [fresh.randrange(1_000_000) for _ in range(given.seeds)]
    with interrupt_on_termination():
        results = run_seeds(seeds, given, faults)
    print_table(results)
    if any(result.has_broken for result in results):
        return 1
    return 2 if any(result.fault for result in results) else 0


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
        for sentence in (*result.outcome.differences[:10], *result.broken, *filter(None, [result.fault])):
            print(f"    {sentence}", file=sys.stderr)
        if result.folder.exists():
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
            f"{outcome.at_risk:>7} {outcome.in_flight:>9} {len(outcome.differences):>11} {len(result.broken):>6} "
            f"{result.seconds:>7.0f}{' the suite failed' if result.fault else ''}"
        )
    well = sum(not (result.has_broken or result.fault) for result in results)
    print(f"{well} of {len(results)} seeds broke nothing")


if __name__ == "__main__":
    sys.exit(main())
