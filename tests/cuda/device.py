"""Say which CUDA device kernels can run on here, or why on none: ``python -m tests.cuda.device``."""

from __future__ import annotations

import sys

from kernels.device import probe


def main() -> None:
    """Print the device; exits with 1 if there is none."""
    found = probe()
    if not found.is_usable:
        sys.exit(f"no CUDA kernel can run here: {found.reason}")
    print(f"{found.name}, {found.memory_bytes / 2**30:.0f} GiB, driver for {found.driver}")


if __name__ == "__main__":
    main()
