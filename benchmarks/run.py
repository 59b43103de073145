"""All benchmarks of this machine, one after the other: ``make bench``."""

from __future__ import annotations

from benchmarks import accuracy, features, overhead, planning, quality


def main() -> None:
    """Measure planning, overhead, image quality, accuracy and features; each writes a file under benchmarks/results."""
    planning.main()
    overhead.main()
    quality.main()
    accuracy.main()
    features.main()


if __name__ == "__main__":
    main()
