"""The daily digest: what was published in a day, what failed, which alerts stand, what reached nobody.

It is due at an hour of the day (UTC) and is of the 24 hours before. The clock is the earlier of this machine's and the
store's: one that is set forward sends no digest of a day that is not over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from flows.messages.message import DIGEST, FAILED, PUBLISHED, UPDATED, Message, make_message
from flows.messages.outbox import Delivery, find_untold, list_deliveries, read_told
from flows.watchdogs.memory import read_memory
from imaging.errors import StoredDataError
from imaging.grace import read_earlier_clock
from imaging.store import Store

CLOCK = "messages/clock.json"
DAY_S = 86_400.0
MOST_NAMED = 20


def find_due(now: float, hour: int) -> float:
    """The last moment at or before ``now`` (Unix seconds) that a digest was due."""
    moment = datetime.fromtimestamp(now, UTC)
    due = moment.replace(hour=hour, minute=0, second=0, microsecond=0)
    return (due if due <= moment else due - timedelta(days=1)).timestamp()


def make_digest(store: Store, due: float, channels: Sequence[str], *, environment: str = "") -> Message:
    """Make the digest of the day that ended at ``due``; of one moment there is one digest.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer.
    """
    deliveries = list_deliveries(store, due)
    told = [message for message in _read_all(store, deliveries) if due - DAY_S <= message.at < due]
    plates = [message for message in told if message.kind in (PUBLISHED, FAILED)]
    verdicts = Counter(message.facts.get("verdict", "") for message in plates)
    # of the recipe that counts, whose page is the experiment's
    counting = [message for message in told if message.kind == UPDATED and message.page.endswith("/index.html")]
    updated = {message.facts.get("experiment", ""): message.facts.get("hits", "") for message in counting}
    published = Counter(message.facts.get("experiment", "") for message in plates)
    untold = find_untold(deliveries, channels)
    facts = {
        "day": datetime.fromtimestamp(due, UTC).date().isoformat(),
        "plates": len(plates),
        "passed": verdicts["pass"],
        "warned": verdicts["warn"],
        "failed": verdicts["fail"],
        "experiments": _some(_experiments(published, updated)),
        "failed_plates": _some("/".join(message.about[:2]) for message in plates if message.kind == FAILED),
        "alerts": _some(_alerts(store)),
        "untold": _some(each.folder.split("/")[2] for each in untold),
    }
    return make_message(DIGEST, (facts["day"], environment), due, facts)


def is_over(store: Store, due: float) -> bool:
    """Whether the moment is there by the store's clock too."""
    return read_earlier_clock(store, CLOCK) >= due


def _read_all(store: Store, deliveries: Iterable[Delivery]) -> list[Message]:
    found = []
    for each in deliveries:
        try:
            found.append(read_told(store, each))
        except StoredDataError:  # a damaged one says nothing; whoever sends says so
            continue
    return found


def _experiments(published: Counter[str], updated: dict[str, str]) -> list[str]:
    names = sorted(published.keys() | updated.keys())
    parts = []
    for name in names:
        said = [f"{published[name]} plates"] if published[name] else []
        said += [f"{updated[name]} hits"] if updated.get(name) else []
        parts.append(f"{name} ({', '.join(said)})" if said else name)
    return parts


def _alerts(store: Store) -> list[str]:
    memory = read_memory(store)
    return [each.alert.what for each in memory.shown] if memory else []


def _some(parts: Iterable[str]) -> str:
    found = list(parts)
    more = [f"and {len(found) - MOST_NAMED} more"] if len(found) > MOST_NAMED else []
    return "; ".join([*found[:MOST_NAMED], *more])
