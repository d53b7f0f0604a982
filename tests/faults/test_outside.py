"""Faults around a run: no row is lost or duplicated, and no completed video is done again."""

from pathlib import Path

import pytest

from .material import Material, make_material
from .scenarios_outside import SCENARIOS, lacking

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
CLIPS = 12
# Number of faults of each kind; the other kinds run only in the campaign.
TIMES = {
    "S3 does any of these": 8,
    "shard replaced": 2,
    "second run, on a disk": 1,
    "one of two runs killed": 1,
    "full disk": 1,
}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_material(tmp_path_factory.mktemp("outside"), CLIPS)


@pytest.mark.parametrize("name", TIMES)
def test_outside(name: str, material: Material, tmp_path: Path) -> None:
    if missing := lacking(name):
        pytest.skip(missing)
    left = SCENARIOS[name](material, tmp_path / "run", seed=1, times=TIMES[name])
    log = (tmp_path / "run" / "run" / "log.txt").read_text()
    assert (left.lost, left.doubled, left.wrong, left.redone, left.failed) == (0, 0, 0, 0, 0), (left, log)
    assert not left.unfinished, (left, log)
    assert left.faults, log
