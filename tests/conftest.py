"""Shape checks and shared fixtures.

All calls of annotated functions check their shapes and types. The fixtures are an S3 server, real data, generated clips
with known frames, and sequential decoding with PyAV, the reference for every other decoder.
"""

import itertools
import json
import os
import secrets
import struct
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import hypothesis
import numpy as np
import pytest
from av.video.stream import VideoStream
from jaxtyping import install_import_hook

from tests.s3_settings import s3_settings

# Threads of torch, which is not loaded yet, sleep while they wait. By default they spin, so that several test processes
# take the CPUs from each other and the training of a small network takes ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

install_import_hook(
    ["attn.maps", "attn.models", "attn.losses", "attn.mining", "attn.concepts", "attn.eval"], "beartype.beartype"
)

# No deadline, because a busy machine is slow; pytest's timeout ends tests that hang.
hypothesis.settings.register_profile("attn", deadline=None)
hypothesis.settings.load_profile("attn")

pytest_plugins = ["tests.small_inputs", "tests.browsers"]

Images = Sequence[np.ndarray]
WriteClip = Callable[..., Path]

ONE, UNIT = 1 << 16, 1 << 30  # 1.0 in the two fixed-point formats of a display matrix

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real clips, images and weights; tests that need it are skipped if it does not exist."""
    if not REAL_DATA.is_dir():
        pytest.skip("real data not present")
    return REAL_DATA


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """URL of a local S3 server (moto over HTTP) in a thread of the test process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_environment(s3_endpoint: str) -> dict[str, str]:
    """Environment variables that a process needs to use the S3 server, overriding those of this machine."""
    return s3_settings(s3_endpoint)


@pytest.fixture
def s3(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a new, empty bucket; jobs that the test starts can use it too."""
    return new_bucket(s3_environment, monkeypatch)


@pytest.fixture(scope="module")
def s3_of_module(s3_environment: dict[str, str]) -> Iterator[str]:
    """URL of a new, empty bucket that all tests of a module share."""
    with pytest.MonkeyPatch.context() as environment:
        yield new_bucket(s3_environment, environment)


def new_bucket(settings: dict[str, str], environment: pytest.MonkeyPatch) -> str:
    import s3fs

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        environment.delenv(name)
    for name, value in settings.items():
        environment.setenv(name, value)
    bucket = f"attn-{secrets.token_hex(6)}"
    s3fs.S3FileSystem(use_listings_cache=False).mkdir(bucket)
    return f"s3://{bucket}"


@pytest.fixture
def forget_s3_clients() -> Iterator[Callable[[], None]]:
    """Function to call after changing an AWS_… variable, because s3fs caches its clients with their settings."""
    import s3fs

    yield s3fs.S3FileSystem.clear_instance_cache
    s3fs.S3FileSystem.clear_instance_cache()


class Somebody:
    """S3 user with its own keys."""

    def __init__(self) -> None:
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.iam.models import iam_backends

        self._people, self._name = iam_backends[DEFAULT_ACCOUNT_ID]["aws"], f"user-{secrets.token_hex(4)}"
        self._people.create_user("us-east-1", self._name)
        given = self._people.create_access_key(self._name)
        self.key, self.secret = given.access_key_id, given.secret_access_key

    def may(self, actions: list[str]) -> None:
        """Permit only these actions from now on."""
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._people.put_user_policy(self._name, "may", policy)


@pytest.fixture
def act_as(s3: str, monkeypatch: pytest.MonkeyPatch, forget_s3_clients: Callable[[], None]) -> Callable[..., Somebody]:
    """Function act_as(actions, key=…, secret=…) that makes the test a user who may perform only these actions.

    From then on, the server checks permissions. `key` and `secret` default to those of the new user.
    """

    def act(actions: list[str], **told: str) -> Somebody:
        somebody = Somebody()
        somebody.may(actions)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", told.get("key", somebody.key))
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", told.get("secret", somebody.secret))
        monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
        forget_s3_clients()
        return somebody

    return act


@pytest.fixture(scope="session")
def numbered():
    """Function that generates images of one size that differ from each other in every region."""

    def make(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
        texture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        return [np.roll(texture, (3 * i, i), (0, 1)) + np.uint8((i + i // 256) % 256) for i in range(count)]

    return make


@pytest.fixture(scope="session")
def smooth():
    """Function that generates images that lossy codecs compress well: a drifting pattern of gradients."""

    def make(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
        rows, cols = np.mgrid[0:height, 0:width]
        return [np.stack([rows + 5 * i, 2 * cols + 3 * i, rows + cols], -1).astype(np.uint8) for i in range(count)]

    return make


@pytest.fixture(scope="session")
def write_clip(tmp_path_factory: pytest.TempPathFactory) -> WriteClip:
    """Function that encodes images to a file; lossless by default (ffv1 in the bgr0 format)."""
    folder, numbers = tmp_path_factory.mktemp("clips"), itertools.count()

    def write(
        images: Images,
        suffix: str = ".mkv",
        codec: str = "ffv1",
        pix_fmt: str = "bgr0",
        *,
        rate: int = 25,
        pts: Sequence[int] | None = None,
        most_b_frames: int = 0,
        name: str | None = None,
        **options: str,
    ) -> Path:
        path = folder / (name or f"clip{next(numbers)}{suffix}")
        container_options = {key: options.pop(key) for key in ("movflags",) if key in options}
        with av.open(str(path), "w", options=container_options) as container:
            stream = cast("VideoStream", container.add_stream(codec, rate=Fraction(rate), options=options))
            stream.height, stream.width = images[0].shape[:2]
            stream.pix_fmt = pix_fmt
            stream.thread_count = 1
            stream.codec_context.max_b_frames = most_b_frames
            for i, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                frame.pts, frame.time_base = (pts[i] if pts else i), Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def with_display_matrix():
    """Function that copies an MP4 file and sets the display matrix (a, b, c, d) of its track."""

    def write(path: Path, matrix: tuple[int, int, int, int]) -> Path:
        a, b, c, d = (value * ONE for value in matrix)
        data = bytearray(path.read_bytes())
        start = data.index(b"tkhd") + 4 + 40  # the atom's name, and the fields before the matrix in a version 0 header
        data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, UNIT)
        turned = path.with_name(f"{path.stem}-{'_'.join(map(str, matrix))}.mp4")
        turned.write_bytes(data)
        return turned

    return write


@pytest.fixture(scope="session")
def sequential():
    """Function that decodes all frames of a file, or every n-th, in order."""

    def decode(path: Path | str, every: int = 1) -> list[np.ndarray]:
        with av.open(str(path), metadata_errors="ignore") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            kept = itertools.islice(container.decode(stream), 0, None, every)
            return [frame.to_ndarray(format="rgb24") for frame in kept]

    return decode


@pytest.fixture(scope="session")
def assert_close_to_largest() -> Callable[[Any, Any, float], None]:
    """Errors are measured against the largest value: small cells of a map are differences of large numbers."""

    def check(found: Any, expected: Any, relative: float) -> None:
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        assert expected.abs().max() > 0
        assert (found - expected).abs().max() <= relative * expected.abs().max()

    return check


@pytest.fixture(scope="session")
def write_store() -> Callable[..., str]:
    """Function `tests.stores.write_store`."""
    from tests.stores import write_store

    return write_store


@pytest.fixture(scope="session")
def new_manifest() -> Callable[..., Any]:
    """Function `tests.stores.new_manifest`."""
    from tests.stores import new_manifest

    return new_manifest
