"""All benchmarks of this machine, one after the other: ``make bench``."""

from __future__ import annotations

from benchmarks import accuracy, features, messages, overhead, planning, quality


def main() -> None:
    """Measure planning, messages, overhead, quality, accuracy and features; each writes to benchmarks/results."""
    planning.main()
    messages.main()
    overhead.main()
    quality.main()
    accuracy.main()
    features.main()


if __name__ == "__main__":
    main()
