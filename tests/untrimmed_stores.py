"""Stores of untrimmed videos whose features show when an action happens, and of trimmed ones."""

import json

import numpy as np

from attn.datasets.own_list import text_of_label_sets
from attn.schema import FEATURES
from attn.video.transform import BILINEAR
from tests.stores import new_manifest, write_store

CLASSES = ("Hug", "Kick", "Wave")
CHANNELS = 8
ACTION_S = 1 / 6
"""Distance of two stored frames."""


def planted_features(random, count, actions):
    """Features of a video: channel 3 + class during an action, else channel 0, and noise."""
    values = np.abs(random.normal(scale=0.1, size=(count, CHANNELS)))
    values[:, 0] += 1
    for label, start, stop in actions:
        values[start:stop, 0] -= 1
        values[start:stop, 3 + label] += 2
    return values.astype(np.float16)


def manifest_of(**change):
    return new_manifest(
        **{
            "class_names": CLASSES,
            "columns": (FEATURES,),
            "preprocessing": str(BILINEAR),
            "num_channels": CHANNELS,
            "map_shape": (2, 2),
            **change,
        }
    )


def plant(folder, *, videos=60, count=40, seed=0, name="store", part="untrimmed", **manifest):
    """Write a store of untrimmed videos, `labels.csv` and `segments.json`; return the segments by video.

    Every fifth video shows no action, every third of the others two.
    """
    random, stored, sets, segments = np.random.default_rng(seed), {}, {}, {}
    for i in range(videos):
        video_id, wanted = f"{part}_{i:03}", [] if i % 5 == 4 else [i % 3] if i % 3 else [i % 3, (i // 3) % 2 + 1]
        starts = sorted(random.choice(range(2, count - 8, 9), len(wanted), replace=False).tolist())
        actions = [(label, start, start + 5) for label, start in zip(wanted, starts, strict=True)]
        stored[video_id] = {FEATURES: planted_features(random, count, actions)}
        sets[video_id] = tuple(CLASSES[label] for label in sorted({*wanted}))
        segments[video_id] = actions
    write_store(str(folder / name), manifest_of(**manifest), stored, part_bytes=20_000)
    (folder / "labels.csv").write_text(text_of_label_sets(sets))
    database = {
        video_id: {
            "subset": "test",
            "annotations": [
                {"label": CLASSES[label], "segment": [start * ACTION_S, stop * ACTION_S]}
                for label, start, stop in actions
            ],
        }
        for video_id, actions in segments.items()
    }
    (folder / "segments.json").write_text(json.dumps({"database": database, "taxonomy": [], "version": "1"}))
    return segments


def plant_trimmed(folder, *, videos=30, name="trimmed", **manifest):
    """Write a store of trimmed videos that show their action all the time, and `trimmed.txt`."""
    random = np.random.default_rng(7)
    stored = {
        f"v_{CLASSES[i % 3]}_g{i // 3 + 1:02}_c01": {FEATURES: planted_features(random, 6, [(i % 3, 0, 6)])}
        for i in range(videos)
    }
    write_store(str(folder / name), manifest_of(**manifest), stored)
    (folder / "trimmed.txt").write_text("".join(f"{one.split('_')[1]}/{one}.avi\n" for one in stored))
