"""Somebody who looks at the plates while all goes wrong, plays the persons in it, and sees what must never be so.

Whoever wants to hit running work needs some: ``Onlooker.supply`` sends images whenever all that came is worked through.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from imaging.job import PlateJob, open_job
from imaging.planning import Plan
from imaging.publication import is_current
from imaging.store import Store
from tests.chaos.delivery import Delivery
from tests.chaos.objects import find_absent
from tests.chaos.processes import Processes, tell

LOOK_S = 1.0
SUPPLY_S = 3.0
"""Seconds between two looks whether there is work: the stack takes two to see an image, and a look overlooks a hit."""
LONGEST_SUPPLY_S = 15.0
"""Seconds after which more is sent although a site is to be done: its plate may be one that is looked at seldom."""
TELL_S = 15.0
"""Seconds between two lines about the plates."""


@dataclass
class Onlooker:
    """Looks at a delivery's plates in a store that nothing disturbs."""

    store: Store
    delivery: Delivery
    settle_s: float
    seen: dict[str, None] = field(default_factory=dict)
    """What was so at some moment and must not be at any, one sentence each."""
    has_work: bool = False
    """Whether any site was to be done at the last look."""
    _looked_at: float = float("-inf")
    _supplied_at: float = field(default_factory=time.monotonic)

    def jobs(self) -> dict[str, PlateJob]:
        """The plates by name."""
        return {
            plate.name: open_job(self.store, plate.experiment, plate.name, settle_s=self.settle_s)
            for plate in self.delivery.plates
        }

    def look(self) -> list[str]:
        """Look at all plates and do what a person would; say which of them are not published as they are now."""
        late = []
        plans = {}
        for name, job in self.jobs().items():
            self.seen.update(dict.fromkeys(f"{name}: {sentence}" for sentence in find_absent(job)))
            plans[name] = plan = job.survey()
            if not (plan.is_publishable and is_current(job, plan)):
                late.append(f"{name} is not published in time: {describe(plan)}")
        self.has_work = any(plan.todo for plan in plans.values())
        self.delivery.attend(plans)
        self._looked_at = time.monotonic()
        return late

    def supply(self, count: int) -> bool:
        """Send so many files if no site is to be done, or none was done for long; whether any work can still come.

        To be called again and again while nothing is in flight; looks at most every ``SUPPLY_S``.
        """
        now = time.monotonic()
        if now - self._looked_at >= SUPPLY_S:
            self.look()
            if not self.has_work or now - self._supplied_at >= LONGEST_SUPPLY_S:
                self.delivery.send(count)
                self._supplied_at = now
        return self.has_work or bool(self.delivery.parcels)

    def wait_for_end(self, processes: Processes, limit_s: float) -> list[str]:
        """Wait until all has come, and all plates are published with it; say which are not in time."""
        deadline, tell_at = time.monotonic() + limit_s, 0.0
        while True:
            was_over = self.delivery.is_over
            late = self.look()
            if not late and was_over and processes.are_all_running:
                return []
            if time.monotonic() > deadline:
                return late or ["not all that was to come was asked for in time"]
            if time.monotonic() >= tell_at:
                tell("; ".join(f"{name} {describe(job.survey())}" for name, job in self.jobs().items()))
                tell_at = time.monotonic() + TELL_S
            time.sleep(LOOK_S)


def describe(plan: Plan) -> str:
    """Count a plate's sites by state."""
    states = Counter(site.state for site in plan.sites)
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return f"{counted}, publication {plan.records.last_publication}"
