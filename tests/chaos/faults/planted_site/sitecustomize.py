"""Found by every Python that has this folder on its path, before its program begins; see ``planted.py``."""

import os

if planted := os.environ.get("FAULTS_PLANTED"):
    from tests.chaos.faults.planted import install

    install(planted.split(","))
