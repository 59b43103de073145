"""All benchmarks of this machine, one after the other: ``make bench``."""

from __future__ import annotations

from benchmarks import accuracy, features, messages, names, overhead, planning, quality, upload_to_row, warehouse


def main() -> None:
    """Measure each in turn; each writes to benchmarks/results."""
    planning.main()
    names.main()
    messages.main()
    overhead.main()
    quality.main()
    accuracy.main()
    features.main()
    warehouse.main()
    upload_to_row.main()


if __name__ == "__main__":
    main()
