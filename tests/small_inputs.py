"""One small local Ray for all tests that need one, and small things to work on."""

import dataclasses
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from PIL import Image

from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.datasets.protocol import Benchmark, Split
from attn.schema import FEATURES, GRID, LOGITS, MAPS
from attn.storage.manifest import Manifest
from attn.training.cnn_options import TrainCnnOptions
from tests.stores import plant

OBJECT_STORE_BYTES = 200 << 20
SPACES = Path(__file__).parents[1] / "tune" / "spaces.py"


@pytest.fixture(scope="session")
def ray_local():
    """A Ray of this machine alone with two CPUs, started once.

    Its idle processes stay for the next test, which else would start some anew and load ray.data again.
    """
    import ray

    from attn.engine.session import start_ray

    os.environ.pop("RAY_ADDRESS", None)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_idle_worker_killing_time_threshold_ms", "3600000")
        start_ray(num_cpus=2, object_store_bytes=OBJECT_STORE_BYTES)
    yield ray
    ray.shutdown()


@pytest.fixture
def on_ray(ray_local, monkeypatch):
    """Ray for small jobs and trainings of one worker too, which otherwise run in this process."""
    monkeypatch.setenv("RAY_ADDRESS", "local")
    return ray_local


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of two classes, of 1 to 130 frames, noisy enough that every frame differs."""
    root = tmp_path_factory.mktemp("clips")
    for i, length in enumerate((1, 4, 23, 60, 130, 37)):
        name = ("Wave", "Kick")[i % 2]
        (root / name).mkdir(exist_ok=True)
        write_clip(root / name / f"v_{name}_g{i:02}_c01.avi", length, seed=i)
    return root


def write_clip(path: Path, length: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (48, 64, 3), np.uint8).repeat(2, 0).repeat(2, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for t in range(length):
            image = np.roll(base, 3 * t, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())


@pytest.fixture(scope="session")
def tiny_clips(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The small networks of `tests.clip_towers`, known to open_clip."""
    from tests.clip_towers import register

    register(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small CNN with random weights, for images of 64 pixels."""
    from attn.models.backbone import build_backbone
    from attn.models.checkpoint import Cnn, save_checkpoint

    torch.manual_seed(0)
    cnn = Cnn(
        backbone=build_backbone("small_cnn", 3).eval(),
        backbone_name="small_cnn",
        class_names=("Wave", "Kick", "Hug"),
        input_size=64,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        trained={},
        weights_sha256="",
    )
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_checkpoint(str(path), cnn)
    return path


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Two classes of eleven noisy images, one redder, one bluer; and two files that are no images."""
    folder, random = tmp_path_factory.mktemp("web"), np.random.default_rng(0)
    for name, channel in (("cold", 2), ("warm", 0)):
        (folder / name).mkdir()
        for number in range(11):
            pixels = random.integers(0, 128, (34, 40, 3), dtype=np.uint8)
            pixels[..., channel] += 100
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
        (folder / name / "broken.jpg").write_bytes(b"\xff\xd8\xff and no more")
    return folder


@pytest.fixture(scope="session")
def training(photographs):
    """Options of a training of seconds, but for --out; what it learns is of no account. Its batches are of unequal
    size, and two workers cannot halve them."""
    return TrainCnnOptions(
        images=str(photographs),
        backbone="small_cnn",
        out="",
        input_size=32,
        epochs=4,
        batch_size=7,
        head_lr=0.3,
        batchnorm="frozen",
        allow_untrained=True,
    )


@pytest.fixture(scope="session")
def footage(tmp_path_factory) -> Path:
    """A folder with six videos of each of two classes, and `split.txt`, which lists all but one of each."""
    root = tmp_path_factory.mktemp("footage")
    lines = []
    for label, name in enumerate(("Wave", "Kick")):
        (root / "videos" / name).mkdir(parents=True)
        for i, length in enumerate((1, 23, 8, 31, 12, 16)):
            video = f"v_{name}_g{i:02}_c01.avi"
            write_clip(root / "videos" / name / video, length, seed=10 * label + i)
            lines += [f"{name}/{video} {label + 1}"] if i else []
    (root / "split.txt").write_text("\n".join(lines))
    return root


@pytest.fixture(scope="session")
def video_training(footage) -> TrainCnnOptions:
    """Options of a training on them, but for --out."""
    return TrainCnnOptions(
        videos=str(footage / "videos"),
        split=str(footage / "split.txt"),
        backbone="small_cnn",
        out="",
        input_size=32,
        epochs=3,
        batch_size=7,
        head_lr=0.05,
        epoch_updates=1,
        batchnorm="frozen",
        allow_untrained=True,
    )


@pytest.fixture(scope="session")
def trained(training, tmp_path_factory):
    """Options of a training that is finished."""
    from attn.commands.train_cnn import train_cnn

    finished = dataclasses.replace(training, out=str(tmp_path_factory.mktemp("trained") / "cnn.safetensors"))
    assert train_cnn(finished) == 0
    return finished


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """Folder with a store and its lists, see `plant`."""
    folder = tmp_path_factory.mktemp("planted")
    plant(folder)
    return folder


@pytest.fixture(scope="session")
def by_fold(planted, write_store, tmp_path_factory):
    """Stores of a test set without training videos, and of those in three folds; and a function that writes one more.

    The maps are those of the planted store, so what is learnt from them must be what is learnt from that one.
    """
    from attn.storage.store import AttentionStore

    folder, store = tmp_path_factory.mktemp("folds"), AttentionStore.open(str(planted / "store"))
    videos = {rows.video_id: rows.tensors for rows in store.videos(list(store.manifest.columns))}
    listed = [Path(line.split()[0]).stem for line in (planted / "train.txt").read_text().splitlines()]

    def write(name, video_ids, **change):
        manifest = dataclasses.replace(store.manifest, **change)
        chosen = {v: {c: videos[v][c] for c in manifest.columns} for v in video_ids}
        return write_store(str(folder / name), manifest, chosen, part_bytes=10_000)

    bare = write("bare", [v for v in videos if v not in listed])
    folds = tuple(write(f"fold{i}", listed[i::3], weights_sha256=f"{i + 1}" * 64) for i in range(3))
    return SimpleNamespace(bare=bare, folds=folds, listed=listed, write=write)


@pytest.fixture
def two_splits():
    """A data set of two classes with two splits, on paper."""
    splits = (Split("split1", _videos(4, 14), _videos(1, 4)), Split("split2", _videos(1, 11), _videos(11, 14)))
    return Benchmark("synthetic", ("Kick", "Wave"), "videos", "images", 2, "top_1", splits)


@pytest.fixture
def plan(tmp_path):
    """Options of a reproduction of it."""
    return ReproduceOptions(
        dataset="synthetic", out=str(tmp_path), backbones=("small_cnn",), fractions=(0.2, 1.0), seeds=(0, 1)
    )


def _videos(first, last):
    return {f"v_{name}_g{group:02}_c01": name for group in range(first, last) for name in ("Kick", "Wave")}


@pytest.fixture
def manifest(new_manifest: Callable[..., Manifest]) -> Manifest:
    return new_manifest(columns=(FEATURES, LOGITS, MAPS), map_shape=(2, 3))


@pytest.fixture
def make_store(tmp_path: Path, manifest: Manifest, write_store: Callable[..., str]) -> Callable[..., str]:
    """make_store({video_id: frames}, maps={video_id: array}, features=…, part_bytes=…, name=…): random where not
    given."""

    def make(
        videos: Mapping[str, int],
        *,
        maps: Mapping[str, np.ndarray] | None = None,
        features: Mapping[str, np.ndarray] | None = None,
        part_bytes: int = 1 << 30,
        name: str = "store",
    ) -> str:
        rng, rows = np.random.default_rng(0), {}
        for video_id, count in videos.items():
            tensors = {
                MAPS: rng.random((count, 3, 2, 3)).astype(np.float16),
                FEATURES: rng.normal(size=(count, 4)).astype(np.float16),
                LOGITS: rng.normal(size=(count, 3)).astype(np.float32),
            }
            if GRID in manifest.columns:
                tensors[GRID] = rng.random((count, 4, 2, 3)).astype(np.float16)
            given = {MAPS: (maps or {}).get(video_id), FEATURES: (features or {}).get(video_id)}
            rows[video_id] = tensors | {column: values for column, values in given.items() if values is not None}
        return write_store(str(tmp_path / name), manifest, rows, part_bytes=part_bytes)

    return make


@pytest.fixture(scope="session")
def spaces():
    """Predefined search spaces; loaded from a path, because `tune/` is a folder of scripts, not a package."""
    found = importlib.util.spec_from_file_location("spaces", SPACES)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.SPACES["energynet"]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tensors are small here; two threads wait for each other, on a busy machine fifty times as long as they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
