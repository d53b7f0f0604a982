"""A shift without any poor camera: what moves in a video are its people."""

import pytest

from attn.synthetic.shift import DomainShift


@pytest.fixture
def still() -> DomainShift:
    return DomainShift(drift=0.0, blur=(0.0, 0.0), noise=(0.0, 0.0), exposure=(1.0, 1.0), bystander=0.0)
