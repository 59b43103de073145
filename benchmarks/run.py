"""All benchmarks of this machine, one after the other: ``make bench``."""

from __future__ import annotations

from benchmarks import accuracy, features, messages, overhead, planning, quality, upload_to_row, uploads, warehouse


def main() -> None:
    """Measure each in turn; each writes to benchmarks/results."""
    planning.main()
    uploads.main()
    messages.main()
    overhead.main()
    quality.main()
    accuracy.main()
    features.main()
    warehouse.main()
    upload_to_row.main()


if __name__ == "__main__":
    main()
