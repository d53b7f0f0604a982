"""What a poor camera does to a picture, and no more than it says."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from attn.synthetic.camera import SWAY_FRAMES, Camera, random_camera
from attn.synthetic.shift import DomainShift

GOOD = Camera(drift=0.05, sway=(0.0, 1.0), blur=0.0, noise=0.0, exposure=1.0, quantiser=3)


@pytest.fixture
def picture() -> Image.Image:
    stripes = np.zeros((60, 80, 3), np.uint8)
    stripes[:, ::2] = 200
    return Image.fromarray(stripes)


def recorded(picture: Image.Image, **changes: float) -> np.ndarray:
    return replace(GOOD, **changes).record(picture, np.random.default_rng(0)).astype(float)


def test_a_good_camera_changes_nothing(picture):
    assert (recorded(picture) == np.asarray(picture)).all()


def test_noise_has_the_asked_spread():
    grey = Image.new("RGB", (80, 60), (128, 128, 128))
    assert recorded(grey, noise=8.0).std() == pytest.approx(8.0, rel=0.05)


def test_exposure_scales_and_blur_smooths(picture):
    assert recorded(picture, exposure=0.5).max() == 100
    assert recorded(picture, blur=1.0).std() < 0.3 * recorded(picture).std()


def test_it_sways_within_its_drift_and_comes_back():
    path = np.array([GOOD.offset(frame) for frame in range(SWAY_FRAMES + 1)])
    assert np.abs(path).max() == pytest.approx(0.05, rel=0.01)
    assert path[0] == pytest.approx(path[-1], abs=1e-12)
    assert np.abs(np.diff(path, axis=0)).max() < 0.004


def test_its_faults_are_drawn_from_the_shift():
    shift = DomainShift(blur=(0.2, 0.3), noise=(1.0, 2.0), exposure=(0.5, 0.6), quantiser=(4, 4), drift=0.07)
    camera = random_camera(np.random.default_rng(0), shift)
    assert 0.2 <= camera.blur <= 0.3
    assert 1.0 <= camera.noise <= 2.0
    assert 0.5 <= camera.exposure <= 0.6
    assert (camera.quantiser, camera.drift) == (4, 0.07)
