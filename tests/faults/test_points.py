"""Faults at every fault point: no row is lost or duplicated, and no completed video is done again."""

from pathlib import Path

import pytest

from .material import Material, make_material
from .store_run import POINTS, Fault, StoreRun

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_material(tmp_path_factory.mktemp("faults"), 48)


def test_faults_at_every_point(material: Material, tmp_path: Path) -> None:
    """A single run survives all faults, even with a pool of one actor, which is lost as a whole."""
    faults = [Fault("kill", point, share=0.5, most=1) for point in POINTS]
    faults.append(Fault("kill decoder", "decode", share=0.5, most=1))
    run = StoreRun(
        material, str(tmp_path / "store"), tmp_path / "harness", faults, seed=1, flags=("--actors", "1", "1")
    )
    assert run.finish() == 0, run.log()
    left = run.ended()
    assert (left.lost, left.doubled, left.wrong, left.redone, left.failed) == (0, 0, 0, 0, 0), (left, run.log())
    assert not left.unfinished, (left, run.log())
    assert (left.faults, left.runs) == (len(POINTS) + 1, 1), (left, run.log())
