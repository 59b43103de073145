"""Many plates through one server: what each costs, and what grows with their number.

    python -m benchmarks.load --plates 100 [--database postgresql] [--store bucket]

Server, runner, watcher, events, automation and flow runs are those of ``platestream serve``; only the measuring of a
site's pixels is a stand-in. See docs/load.md.
"""
