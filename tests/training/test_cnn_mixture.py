"""Web images mixed with frames, on one worker without Ray.

Photographs stand in for the frames, because workers treat both alike.
"""

import copy
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch.optim import SGD

from attn.commands.train_cnn import CnnTraining
from attn.commands.train_cnn_plan import held_out_of, make_training
from attn.engine.train.driver import finished
from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, load_checkpoint, save_checkpoint
from attn.training import cnn_learner
from attn.training.checkpoints import CheckpointFolder
from attn.training.cnn_learner import CnnLearner
from attn.training.cnn_pictures import ready
from attn.training.finetune_config import MIXED_LR
from attn.training.group import Group
from attn.training.holdout import hold_out
from attn.training.loop import TrainingLoop
from attn.training.recipe import paper_recipe
from attn.training.status import StatusWriter

CPU = torch.device("cpu")


@pytest.fixture
def web(tmp_path):
    """Seven images of one class and four of another, in folders with another spelling; one file is not an image."""
    folder, random = tmp_path / "web", np.random.default_rng(0)
    for name, count in (("kick", 7), ("WAVE", 4)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "kick" / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def options(video_training, web, tmp_path):
    return dataclasses.replace(video_training, out=str(tmp_path / "cnn.safetensors"), mix_images=str(web))


@pytest.fixture
def alone(training, tmp_path):
    """Factory of training loops of one worker with photographs in place of frames: `alone(options)`."""

    def make(options):
        run, job, cnn, *_ = make_training(options)
        run.begin({})
        photographs = make_training(dataclasses.replace(training, out=str(tmp_path / "none.safetensors")))
        job = dataclasses.replace(job, pictures=photographs.job.pictures)
        group, status = Group.alone(CPU), StatusWriter(None, rank=1)
        caches, refusal = ready(job, tmp_path / "cache", group, status)
        assert refusal is None
        cache, *mixed = caches
        learner = CnnLearner(job, cnn, cache, group, status.note, *mixed)
        return TrainingLoop(learner, status, CheckpointFolder(run.states, every_s=0), run_url=job.run_url)

    return make


@pytest.fixture
def batches(monkeypatch):
    """Batches of the updates."""
    seen, plain = [], cnn_learner.update

    def update(model, optimizer, normalise, batch, **settings):
        seen.append(batch)
        return plain(model, optimizer, normalise, batch, **settings)

    monkeypatch.setattr(cnn_learner, "update", update)
    return seen


def learnt_images(learner):
    """Return label → pixels of the training Web images and of their mirror images."""
    mixture, found = learner.mixture, {0: [], 1: []}
    for row in mixture._train_rows:
        pixels = mixture.cache.pixels[row]
        found[int(mixture.pictures.labels[row])] += [pixels.tobytes(), pixels[:, ::-1].tobytes()]
    return found


@pytest.mark.parametrize(("batch_size", "own", "mixed"), [(8, 4, 4), (7, 4, 3), (3, 2, 1), (2, 1, 1)])
def test_every_update_is_half_frames_and_half_web_images(alone, options, batches, batch_size, own, mixed):
    worker = alone(dataclasses.replace(options, batch_size=batch_size, epochs=2))
    assert worker.run() is None
    assert len(batches) == 2 * 16 / own
    known = learnt_images(worker.learner)
    assert sum(map(len, known.values())) == 2 * 11
    for batch in batches:
        assert (len(batch.images), len(batch.labels), batch.total, batch.mixed) == (*[own + mixed] * 3, mixed)
        images, labels = batch.images[own:].numpy(), batch.labels[own:].tolist()
        assert all(image.tobytes() in known[label] for image, label in zip(images, labels, strict=True))
        assert abs(labels.count(0) - labels.count(1)) <= mixed % 2


def test_an_update_follows_the_sum_of_both_losses_and_they_are_told_apart(alone, options, batches):
    worker = alone(
        dataclasses.replace(options, epochs=1, warmup=0, clip_norm=0.0, lr_decay_after=1.0, momentum=0.0, seed=3)
    )
    loop = copy.deepcopy(worker.learner.backbone)
    row = worker.learner._epoch(0)
    optimizer = SGD(loop.parameters(), lr=0.05, weight_decay=5e-4)
    totals = np.zeros(2)
    for batch in batches:
        own = len(batch.labels) - batch.mixed
        logits = loop(worker.learner.normalise(batch.images))
        frames = F.cross_entropy(logits[:own], batch.labels[:own], reduction="sum")
        web = F.cross_entropy(logits[own:], batch.labels[own:], reduction="sum")
        optimizer.zero_grad()
        ((frames + web) / len(batch.labels)).backward()
        optimizer.step()
        totals += frames.item(), web.item()
    for name, weight in loop.export_weights().items():
        torch.testing.assert_close(worker.learner.backbone.export_weights()[name], weight, rtol=1e-4, atol=1e-6)
    counts = 16, sum(batch.mixed for batch in batches)
    assert [row["train_loss"], row["mixed_loss"]] == pytest.approx(totals / counts, rel=1e-5)


def test_without_the_flag_nothing_is_mixed_in_and_no_column_speaks_of_it(alone, options, batches):
    worker = alone(dataclasses.replace(options, mix_images=None, epochs=1))
    assert worker.run() is None
    assert {batch.mixed for batch in batches} == {0}
    assert sum(batch.total for batch in batches) == 16
    assert "mixed_loss" not in worker.rows[0]


def test_a_resumed_training_ends_as_an_unbroken_one_although_an_image_was_mended(alone, options, web, monkeypatch):
    whole = alone(options)
    assert whole.run() is None
    expected = dict(whole.checkpoints.restore())
    assert json.loads(expected["state.json"])["mixed"]["images"] == 11
    shutil.rmtree(whole.checkpoints.url)

    broken = alone(options)
    trained = broken.learner._epoch

    def ending(epoch):
        if epoch == 1:
            raise UsageError("stopped")
        return trained(epoch)

    monkeypatch.setattr(broken.learner, "_epoch", ending)
    assert str(broken.run()) == "stopped"
    again = alone(options)
    mended = dataclasses.replace(again.learner.mixture.cache, skipped={})
    again.learner.mixture = dataclasses.replace(again.learner.mixture, cache=mended)
    assert again.run() is None
    assert again.learner.all_skipped.keys() >= {"kick/broken.png"}
    assert dict(again.checkpoints.restore())["weights.safetensors"] == expected["weights.safetensors"]


def test_a_web_image_that_was_train_rows_and_cannot_be_read_ends_a_resumed_training(alone, options):
    assert alone(options).run() is None
    again = alone(options)
    worse = dataclasses.replace(again.learner.mixture.cache, skipped={**again.learner.mixture.cache.skipped, 0: "gone"})
    again.learner.mixture = dataclasses.replace(again.learner.mixture, cache=worse)
    assert "kick/0.png: used by this training before, but unusable now (gone). Repair the files, or remove" in str(
        again.run()
    )


@pytest.mark.parametrize("workers", [2, 3])
def test_the_workers_together_mix_what_one_mixes(alone, options, workers):
    one = alone(options)
    order = cnn_learner.epoch_order(16, 4, seed=0, epoch=1)

    def mixed(rank, size):
        mixture = dataclasses.replace(one.learner.mixture, group=Group(rank, rank, size, size, CPU))
        return list(mixture.beside(one.learner.train.shares(order, worker=rank, workers=size), order, 1))

    shares = [mixed(rank, workers) for rank in range(workers)]
    for whole, *parts in zip(mixed(0, 1), *shares, strict=True):
        own = [len(part.labels) - part.mixed for part in parts]
        for name in ("images", "labels"):
            split = [getattr(part, name).split([count, part.mixed]) for count, part in zip(own, parts, strict=True)]
            together = torch.cat([half for halves in zip(*split, strict=True) for half in halves])
            assert torch.equal(getattr(whole, name), together)
        assert {part.total for part in parts} == {whole.total}


def test_the_checkpoint_and_the_report_say_what_was_mixed_in(alone, options, web):
    worker = alone(dataclasses.replace(options, epochs=1))
    assert worker.run() is None
    training = CnnTraining(make_training(worker.learner.job.options))
    finished(training, worker.learner.state(worker.rows), 1.0)
    expected = {"url": str(web), "images": 11, "skipped": 1, "validation_fraction": 0.0, "seed": 0}
    assert load_checkpoint(options.out).trained["mixed_images"] == expected
    report = training.run.report()
    assert report is not None
    assert report["mixed_images_skipped"].keys() == {"kick/broken.png"}


@pytest.fixture
def start(tmp_path):
    """Factory of checkpoints of the two classes with a given training record: `start(record)`."""

    def make(record):
        torch.manual_seed(1)
        path = str(tmp_path / "start.safetensors")
        save_checkpoint(path, Cnn(build_backbone("small_cnn", 2), "small_cnn", ("Wave", "Kick"), 32, trained=record))
        return path

    return make


def test_what_the_start_held_out_is_not_train_rows(alone, options, start, web):
    told = {"options": {"images": "anywhere", "validation_fraction": 0.4, "seed": 7}, "adapted": {"frames": 128}}
    worker = alone(dataclasses.replace(options, weights=start(told)))
    names = sorted(str(path.relative_to(web)) for path in web.rglob("[0-9].png"))
    held = hold_out(names, np.array([name.startswith("k") for name in names], int), fraction=0.4, seed=7)
    assert sum(held) == 5
    pictures = worker.learner.mixture.pictures
    assert sorted(pictures.names(worker.learner.mixture._train_rows)) == [
        name for name, out in zip(names, held, strict=True) if not out
    ]
    assert pictures.labels[worker.learner.mixture._train_rows].tolist() == [0, 0, 1, 1, 1, 1]


def test_a_record_tells_what_was_held_out_or_nothing():
    told = {"images": "web", "validation_fraction": 0.3, "seed": 2}
    assert held_out_of({"options": told}) == (0.3, 2)
    assert held_out_of({"options": told | {"images": None}, "mixed_images": told}) == (0.3, 2)
    for silent in (
        {},
        {"options": told | {"images": None}},
        {"options": told | {"validation_fraction": "0.3"}},
        {"options": told | {"validation_fraction": 1.5}},
        {"options": told | {"seed": None}},
        {"options": told, "mixed_images": told | {"validation_fraction": 0.0}},
        {"options": ["images"], "mixed_images": 3},
    ):
        assert held_out_of(silent) == (0.0, 0)


def test_folders_must_be_those_of_the_classes(options, web, tmp_path):
    job = make_training(options).job
    assert job.mixed is not None
    assert [job.class_names[label].casefold() for label in job.mixed.labels] == [
        name.split("/")[0].casefold() for name in job.mixed.image_names
    ]
    (web / "Hug").mkdir()
    Image.new("RGB", (8, 8)).save(web / "Hug" / "1.png")
    with pytest.raises(UsageError, match=r"web: folders of other classes: Hug\. Remove them, or name the classes with"):
        make_training(options)
    (tmp_path / "classes.txt").write_text("Wave\nKick\n")
    assert (
        make_training(dataclasses.replace(options, classes=str(tmp_path / "classes.txt"))).job.class_names[0] == "Wave"
    )
    shutil.rmtree(web / "Hug")
    shutil.rmtree(web / "kick")
    with pytest.raises(UsageError, match="no images of Kick") as error:
        make_training(options)
    assert "\n" not in str(error.value)
    assert not Path(options.out).with_suffix(".train").exists()


def test_what_is_mixed_in_decides_what_is_train_rows_and_where_it_lies_does_not(options, web, tmp_path):
    plain = make_training(dataclasses.replace(options, mix_images=None)).run.decisive
    mixed = make_training(options).run.decisive
    assert mixed.keys() - plain.keys() == {"mixed_images"}
    assert {name: mixed[name] for name in plain} == plain | {"lr": MIXED_LR}
    moved = dataclasses.replace(options, mix_images=str(shutil.copytree(web, tmp_path / "moved")))
    assert make_training(moved).run.decisive == mixed
    (tmp_path / "moved" / "kick" / "0.png").unlink()
    assert make_training(moved).run.decisive != mixed
    assert make_training(paper_recipe(dataclasses.replace(options, head_lr=None))).job.mixed is not None


def test_resized_web_images_serve_other_trainings_too(alone, options, tmp_path):
    folder = tmp_path / "resized"
    worker = alone(dataclasses.replace(options, mix_cache=str(folder)))
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [worker.learner.job.mixed.cache_key]
