"""What is planted in made screens and found, and how often clean screens give an alarm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from imaging.analyses.failures import find_failures
from imaging.analyses.recipe import Failures
from tests.imaging.analyses.failing_screen import PLANTED, is_found, make_screen, plant_drift

CLEAN, SEEDS = 20, 5


def rows() -> Iterator[dict[str, object]]:
    """One row per planted failure: rule, what was planted, how often found, alarms of its rule on clean screens."""
    alarms = Counter()
    for seed in range(CLEAN):
        screen = make_screen(seed=1000 + seed)
        alarms.update(set(find_failures(screen.profiles, Failures(), images=screen.images)["rule"]))
    for planted in PLANTED:
        found = 0
        for seed in range(SEEDS):
            screen = make_screen(seed=2000 + seed)
            planted.plant(screen)
            found += is_found(find_failures(screen.profiles, Failures(), images=screen.images), planted)
        yield _row(planted.rule, planted.name, found, alarms)
    drifts = 0
    for seed in range(SEEDS):
        screen = make_screen(seed=3000 + seed, plates=16, shape=(8, 12), treatments=20)
        plant_drift(screen, share=0.4)
        drifts += "drift" in set(find_failures(screen.profiles, Failures(), images=screen.images)["rule"])
    yield _row("drift", "light that fades by 40 % over 16 plates", drifts, alarms)


def _row(rule: str, planted: str, found: int, alarms: Counter[str]) -> dict[str, object]:
    return {
        "rule": rule,
        "planted": planted,
        "found": f"{found} of {SEEDS}",
        "clean screens with an alarm": f"{alarms[rule]} of {CLEAN}",
    }
