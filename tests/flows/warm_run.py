"""A run of the tests of warm runs: says how it began; then ``exit CODE``, or ``wait FILE [CODE]`` for a file."""

import atexit
import json
import os
import sys
import time

LONGEST_S = 600.0


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
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline and not os.path.exists(sys.argv[2]):
        time.sleep(0.02)
    print("waited enough", file=sys.stderr, flush=True)
    sys.exit(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
