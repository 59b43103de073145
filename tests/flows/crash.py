"""A process that is killed as it begins, as a site's that takes too much memory."""

from __future__ import annotations

import os
import signal

if __name__ == "__main__":
    os.kill(os.getpid(), signal.SIGKILL)
