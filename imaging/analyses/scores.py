"""What an analysis comes to in a few numbers, by which recipes are compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from imaging.analyses.mixing import Mixing
from imaging.analyses.neighbours import classify_by_neighbour
from imaging.analyses.profiles import NEGCON, Profiles
from imaging.analyses.recipe import AnalysisRecipe
from imaging.analyses.replication import percent_replicating
