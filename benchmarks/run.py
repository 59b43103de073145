"""All benchmarks of this machine, one after the other: ``make bench``."""

from __future__ import annotations

from benchmarks import overhead, planning


def main() -> None:
    """Measure planning, watching and overhead; each writes a file under benchmarks/results."""
    planning.main()
    overhead.main()


if __name__ == "__main__":
    main()
