"""What every kind of cluster can do for the service that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Size:
    """How many workers a cluster may have.

    Parameters
    ----------
    floor
        Workers that stay when there is no work.
    maximum
        Workers at most.
    threads
        Sites that one worker has in hand at a time.

    Raises
    ------
    ValueError
        If the floor is above the maximum.
    """

    floor: int
    maximum: int
    threads: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.floor <= self.maximum:
            raise ValueError(f"the floor must lie from 0 to the maximum, got {self.floor} and {self.maximum}")


class Cluster(Protocol):
    """A running cluster whose number of workers we set.

    Each method raises MissingPartError when what it needs does not answer; the next look tries again.
    """

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        ...

    @property
    def size(self) -> Size:
        """How many workers it may have."""
        ...

    def count(self) -> int:
        """Count the workers that it is meant to have now, whether they have come or not."""
        ...

    def scale(self, number: int, busy: Mapping[str, int]) -> None:
        """Have so many workers; of those to go, the ones with the fewest sites go first.

        Parameters
        ----------
        number
            From the floor to the maximum.
        busy
            Sites in the hands of each worker, by its name.
        """
        ...

    def tend(self) -> None:
        """Put right what went wrong with single workers since the last call."""
        ...

    def pids(self) -> dict[str, int | None]:
        """Process ids of the workers on this machine, by name."""
        ...
