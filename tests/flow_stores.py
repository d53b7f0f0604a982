"""Flow stores with known rows, written without an algorithm."""

from pathlib import Path
from typing import Any

import numpy as np

from attn.schema import FLOW
from attn.storage.manifest import FlowManifest
from attn.video.transform import BILINEAR
from tests.stores import write_store

SIZE = 32


def new_flow_manifest(**told: Any) -> FlowManifest:
    """Manifest of a store of flow by DIS, with defaults for all other fields."""
    usual = {
        "algorithm": "dis",
        "parameters": {"preset": "medium"},
        "bound_px": 20.0,
        "input_size": SIZE,
        "preprocessing": str(BILINEAR),
        "sampling": {"stride": 1},
    }
    return FlowManifest(**{**usual, **told})


def write_flow(url: str, flows: dict[str, np.ndarray], *, part_bytes: int = 1 << 30, **told: Any) -> str:
    """Write a finished flow store of videos with known flow [frame, 2, row, col]; return its URL."""
    videos = {video_id: {FLOW: flow} for video_id, flow in flows.items()}
    return write_store(url, new_flow_manifest(**told), videos, part_bytes=part_bytes)


def plant_directions(folder: Path) -> None:
    """Write `flow`, `train.txt` and `test.txt`: patches that move up or down, in the direction of their class.

    Sideways motion is random, so a mirrored video shows the same class.
    """
    random, names = np.random.default_rng(0), [f"v_{name}_g{i:02}_c01" for i in range(1, 9) for name in ("Up", "Down")]
    write_flow(str(folder / "flow"), {name: _moving(random, -1 if "Up" in name else 1) for name in names})
    lines = [f"{name.split('_')[1]}/{name}.avi {2 - i % 2}\n" for i, name in enumerate(names)]
    (folder / "train.txt").write_text("".join(lines[:12]))
    (folder / "test.txt").write_text("".join(lines[12:]))
    (folder / "classInd.txt").write_text("1 Down\n2 Up\n")


def _moving(random: np.random.Generator, down: int) -> np.ndarray:
    flow = np.zeros((int(random.integers(3, 7)), 2, SIZE, SIZE), np.int8)
    row, col = random.integers(0, SIZE - 12, 2)
    flow[:, 0, row : row + 12, col : col + 12] = random.integers(-20, 21)
    flow[:, 1, row : row + 12, col : col + 12] = 60 * down
    return flow
