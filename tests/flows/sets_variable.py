"""A module that sets a variable while it is imported, as OpenCV does."""

import os

os.environ["LD_LIBRARY_PATH"] = "set/while/imported"
