"""All benchmarks of this machine, one after the other: ``make bench``."""

from __future__ import annotations

from benchmarks import overhead, planning, quality


def main() -> None:
    """Measure planning, watching, overhead and image quality; each writes a file under benchmarks/results."""
    planning.main()
    overhead.main()
    quality.main()


if __name__ == "__main__":
    main()
