"""Ends a Prefect server that answers, but starts nothing any more; whoever started it starts it again.

A task of the server that waits for an answer of its database which never comes, as after an error of the disk, waits
for ever. The server still takes events and runs. But where the task was to handle events, those after it stay in its
queue, and where it was to learn of new automations, it keeps the lock without which none is learnt of. Both are looked
at again and again: the same event first in a queue, or a lock that is never free.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import logging
import os
from collections.abc import Callable, Hashable, Mapping
from typing import Any

EVERY_S = 10.0
LOOKS_PER_TRIM = 30
"""Looks from one time that memory is given back to the next: five minutes."""
LOOKS = 12
"""Looks in a row that find the same. They are counted, not timed: a server that was stopped does not look either."""
STUCK = 70
"""Exit status."""

log = logging.getLogger("platestream.server")


class Pulse:
    """Notices what does not move.

    Parameters
    ----------
    look
        What waits to be done at the moment: something by name, and what is first there.
    """

    def __init__(self, look: Callable[[], Mapping[Hashable, Any]]) -> None:
        self._look = look
        self._seen: dict[Hashable, tuple[Any, int]] = {}

    def find_stuck(self) -> Hashable | None:
        """Look once; the name of what waits and was found unmoved for the ``LOOKS``-th time, else ``None``."""
        seen: dict[Hashable, tuple[Any, int]] = {}
        for name, first in self._look().items():
            before, looks = self._seen.get(name, (None, 0))
            seen[name] = first, (looks + 1 if first is before else 1)
        self._seen = seen
        return next((name for name, (_, looks) in seen.items() if looks >= LOOKS), None)


def look_at_server() -> dict[Hashable, Any]:
    """Events that nobody has taken yet, by queue, and the lock of the automations where somebody holds it."""
    from prefect.server.events.triggers import _automations_lock  # Prefect reads its settings while it is imported
    from prefect.server.utilities.messaging.memory import Topic

    lock = _automations_lock()
    found: dict[Hashable, Any] = {"automations": lock} if lock.locked() else {}
    topic = Topic._topics.get("events")  # by the broker in memory, which is the one that a server alone has
    for number, subscription in enumerate(topic._subscriptions if topic else ()):
        waiting = subscription._queue._queue  # pyright: ignore[reportAttributeAccessIssue] asyncio does not let look
        if waiting:
            found[f"events {number}"] = waiting[0]
    return found


def give_back_memory() -> bool:
    """Give free memory back to the system; whether there was any, as far as that can be told.

    The server's many threads leave it in pieces: a third of its heap lay free after some hundred runs, and more with
    each hundred, though it held no more objects. Only glibc can be told to give it back.
    """
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError, TypeError):  # another C library
        return False


async def keep_pulse(every_s: float = EVERY_S, end: Callable[[int], Any] = os._exit) -> None:
    """Look for as long as the server runs; ``end`` it, without a goodbye that would wait too, when it is stuck."""
    pulse = Pulse(look_at_server)
    for look in itertools.count(1):
        await asyncio.sleep(every_s)
        if look % LOOKS_PER_TRIM == 0:
            give_back_memory()
        if (name := pulse.find_stuck()) is not None:
            said = "%s: nothing was done about it for %g s; the server ends, to be started anew"
            log.error(said, name, LOOKS * every_s)
            end(STUCK)
            return
