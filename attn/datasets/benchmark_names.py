"""Names of the data sets of the result tables; flags are derived from them without loading what reads the data."""

from typing import Literal

BenchmarkName = Literal[
    "ucf101",
    "hmdb51",
    "ucf11",
    "ucf11_975",
    "ucf11_random",
    "tvhi",
    "ut_interaction",
    "something_v2",
    "synthetic",
    "synthetic_motion",
]
