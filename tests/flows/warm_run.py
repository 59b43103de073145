"""A run of the tests of warm runs: says how it began, and then does what its first argument says."""

import atexit
import json
import os
import sys
import time


def end_slowly() -> None:
    time.sleep(0.2)
    print("ended", file=sys.stderr, flush=True)


if __name__ == "__main__":
    said = {
        "is_warm": "colorsys" in sys.modules,
        "arguments": sys.argv[1:],
        "folder": os.getcwd(),
        "run": os.environ.get("PREFECT__FLOW_RUN_ID"),
        "pid": os.getpid(),
        "input": sys.stdin.read() if not sys.stdin.closed else "",
    }
    print(json.dumps(said), flush=True)
    if sys.argv[1] == "exit":
        sys.exit(int(sys.argv[2]))
    atexit.register(end_slowly)
    deadline = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < deadline:
        time.sleep(0.02)
    print("slept enough", file=sys.stderr, flush=True)
    sys.exit(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
