"""zero_shot and the jobs that take its checkpoint: names, maps, metrics; and invalid input."""

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from attn.commands.adapt_cnn import adapt_cnn
from attn.commands.adapt_options import AdaptOptions
from attn.commands.cli import run
from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.precompute import precompute
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.predict import predict
from attn.commands.predict_options import PredictOptions
from attn.commands.train_cnn import train_cnn
from attn.commands.zero_shot import zero_shot
from attn.commands.zero_shot_options import ZeroShotOptions
from attn.concepts.concept_config import ConceptConfig
from attn.concepts.concept_vectors import make_concept_vectors
from attn.engine.exit_codes import EXIT_USAGE
from attn.errors import UsageError
from attn.models.checkpoint import load_checkpoint
from attn.storage.store import AttentionStore
from attn.video.transform import resize_and_crop
from tests.clip_towers import whole_clip

pytestmark = pytest.mark.usefixtures("tiny_clips")

NAMES = ("Wave", "Kick", "PlayingGuitar", "tai chi")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Folder with a class list, prompts, and weights as open_clip's training writes them."""
    folder = tmp_path_factory.mktemp("clip")
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in NAMES))
    (folder / "prompts.txt").write_text("a photo of a person {}.\n\n{}, a sport\n")
    for name in ("tiny-ViT", "tiny-RN"):
        torch.save({"state_dict": whole_clip(name).state_dict()}, folder / f"{name}.pt")
    return folder


@pytest.fixture(scope="module")
def made(files):
    """Function that makes the checkpoint of a network, once, and returns its URL."""

    def make(name):
        options = options_for(files, name, out=str(files / f"{name}.safetensors"))
        assert zero_shot(options) == 0
        return options.out

    return make


def options_for(files, name="tiny-ViT", **change):
    return ZeroShotOptions(
        **{
            "backbone": f"open_clip:{name}",
            "classes": str(files / "classes.txt"),
            "prompts": str(files / "prompts.txt"),
            "weights": str(files / f"{name}.pt"),
            **change,
        }
    )


def written_split(clip_folder, tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("".join(f"{one.parent.name}/{one.name}\n" for one in sorted(clip_folder.rglob("*.avi"))))
    return str(path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tiny-ViT", "gradcam"),
        ("tiny-RN", "similarity"),
        pytest.param("tiny-ViT", "similarity", marks=pytest.mark.long),
        pytest.param("tiny-RN", "gradcam", marks=pytest.mark.long),
    ],
)
def test_from_names_to_metrics(name, kind, made, clip_folder, tmp_path):
    store, out = str(tmp_path / "store"), tmp_path / "results"
    precomputed = PrecomputeOptions(videos=str(clip_folder), out=store, weights=made(name), map_kind=kind, stride=20)
    assert precompute(precomputed) == 0
    manifest = AttentionStore.open(store).manifest
    assert (manifest.class_names, manifest.backbone, manifest.map_kind) == (NAMES, f"open_clip:{name}", kind)
    assert manifest.informative["map_route"] == {"gradcam": "vjp", "similarity": "similarity"}[kind]
    assert "open_clip_torch" in manifest.informative["packages"]

    split = written_split(clip_folder, tmp_path)
    assert evaluate(EvaluateOptions(store=store, split=split, out=str(out))) == 0
    metrics = json.loads((out / "metrics.json").read_text())["methods"]
    assert metrics["cnn"]["videos"] == metrics["unatt"]["videos"] == 6

    video = next(iter(AttentionStore.open(store).videos(["maps", "logits"])))
    assert np.isfinite(video.maps).all()
    assert video.maps.max() > 0
    if kind == "similarity":
        assert video.maps.max() <= 1


def test_similarity_is_the_cosine_of_cells_and_texts(made, clip_folder, tmp_path, sequential):
    url, store = made("tiny-ViT"), str(tmp_path / "store")
    assert precompute(PrecomputeOptions(videos=str(clip_folder), out=store, weights=url, map_kind="similarity")) == 0
    video = next(iter(AttentionStore.open(store).videos(["maps"])))
    (clip,) = clip_folder.rglob(f"{video.video_id}.avi")
    model, cnn = whole_clip("tiny-ViT"), load_checkpoint(url)
    model.visual.output_tokens = True
    texts = cnn.backbone.classifier.weight / model.logit_scale.exp()
    for frame, maps in zip(sequential(clip, 5), video.maps, strict=True):
        pixels = torch.tensor(resize_and_crop(frame, 64, cnn.resampling)).permute(2, 0, 1) / 255
        image = (pixels - torch.tensor(cnn.mean)[:, None, None]) / torch.tensor(cnn.std)[:, None, None]
        with torch.inference_mode():
            _, tokens = model.visual(image[None])
            embeddings = tokens[0] @ model.visual.proj
            expected = torch.stack([torch.cosine_similarity(embeddings, text[None]) for text in texts]).relu()
        assert torch.allclose(torch.tensor(maps).float().flatten(1), expected, atol=2e-3)


def test_kinds_of_maps_do_not_share_a_store_or_scores(made, clip_folder, tmp_path):
    url, store = made("tiny-ViT"), str(tmp_path / "store")
    options = PrecomputeOptions(videos=str(clip_folder), out=store, weights=url, stride=50)
    assert precompute(options) == 0
    with pytest.raises(UsageError, match=r'made with other settings \(map_kind: "similarity" here, "gradcam" there\)'):
        precompute(dataclasses.replace(options, map_kind="similarity"))
    other = dataclasses.replace(options, map_kind="similarity", out=str(tmp_path / "other"))
    assert precompute(other) == 0
    settings = EvaluateOptions(
        store=store, split=written_split(clip_folder, tmp_path), out=str(tmp_path / "out"), calibrate=other.out
    )
    with pytest.raises(UsageError, match=r"--calibrate .*: does not fit --store .*map_kind: "):
        evaluate(settings)


def test_other_networks_have_no_similarity(small_weights, clip_folder, tmp_path, capsys):
    options = PrecomputeOptions(
        videos=str(clip_folder), out=str(tmp_path / "store"), weights=str(small_weights), map_kind="similarity"
    )
    assert run(precompute, options) == EXIT_USAGE
    assert "--map-kind similarity: needs a network with text embeddings" in capsys.readouterr().err
    assert not Path(options.out).exists()


def test_predict_takes_it(made, clip_folder, tmp_path):
    options = PredictOptions(model=(made("tiny-ViT"),), videos=str(clip_folder), out=str(tmp_path / "out"), stride=50)
    assert predict(options) == 0


def test_a_resnet_is_adapted_and_a_transformer_has_nothing_to_adapt(made, clip_folder, tmp_path, capsys):
    out = str(tmp_path / "out.safetensors")
    assert adapt_cnn(AdaptOptions(made("tiny-RN"), str(clip_folder), out, stride=1, frames=200)) == 0
    before, after = (load_checkpoint(url).backbone.export_weights() for url in (made("tiny-RN"), out))
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert {key.rpartition(".")[2] for key in changed} == {"running_mean", "running_var", "num_batches_tracked"}
    options = AdaptOptions(made("tiny-ViT"), str(clip_folder), str(tmp_path / "other.safetensors"))
    assert run(adapt_cnn, options) == EXIT_USAGE
    assert "has no BatchNorm" in capsys.readouterr().err


@pytest.mark.long
def test_a_training_starts_from_it(files, training, tmp_path):
    classes = tmp_path / "classes.txt"
    classes.write_text("".join(f"{one.name}\n" for one in sorted(Path(training.images).iterdir())))
    start = options_for(files, classes=str(classes), out=str(tmp_path / "start.safetensors"))
    assert zero_shot(start) == 0
    options = dataclasses.replace(
        training,
        backbone="open_clip:tiny-ViT",
        weights=start.out,
        input_size=None,
        epochs=1,
        out=str(tmp_path / "cnn.safetensors"),
    )
    assert train_cnn(options) == 0
    tuned = load_checkpoint(options.out)
    assert tuned.class_names == load_checkpoint(start.out).class_names
    assert tuned.backbone_name == "open_clip:tiny-ViT"


def test_texts_are_concept_vectors(files, tmp_path):
    options = options_for(files, out=str(tmp_path / "clip.safetensors"), word_vectors=str(tmp_path / "texts.txt"))
    assert zero_shot(options) == 0
    made = make_concept_vectors(NAMES, ConceptConfig(word_vectors=options.word_vectors, aggregation="name"))
    weights = load_checkpoint(options.out).backbone.classifier.weight
    expected = torch.nn.functional.normalize(weights, dim=1)
    assert torch.allclose(torch.tensor(made.vectors), expected, atol=1e-6)
    assert made.record["aggregation"] == "name"
    assert made.record["words"]["tai chi"] == ["tai_chi"]
    Path(options.word_vectors).unlink()  # is made again although the checkpoint is finished
    assert zero_shot(options) == 0
    assert Path(options.word_vectors).exists()


def test_the_record_names_phrases_prompts_and_weights(made, files):
    cnn = load_checkpoint(made("tiny-ViT"))
    record = cnn.trained["zero_shot"]
    assert record["phrases"] == {
        "Wave": "wave",
        "Kick": "kick",
        "PlayingGuitar": "playing guitar",
        "tai chi": "tai chi",
    }
    assert record["prompts"] == ["a photo of a person {}.", "{}, a sport"]
    assert len(record["weights_sha256"]) == 64
    assert cnn.trained["source"] == str(files / "tiny-ViT.pt")


def test_a_finished_one_is_kept_and_another_is_refused(made, files, caplog):
    url = made("tiny-ViT")
    before = Path(url).stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        assert zero_shot(options_for(files, out=url)) == 0
    assert "already finished" in caplog.text
    assert Path(url).stat().st_mtime_ns == before
    with pytest.raises(UsageError, match=r"made of other inputs\. Remove it or choose another --out"):
        zero_shot(options_for(files, out=url, prompts=None))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone": "open_clip:tiny-VIT"}, "has no such network. The nearest are open_clip:tiny-"),
        ({"backbone": "resnet50"}, "--backbone resnet50: has no text encoder. Give open_clip:<name>"),
        ({"backbone": "open_clip:tiny-RN"}, "the weights do not fit open_clip:tiny-RN"),
        ({"weights": None}, "the weights are not given"),
        ({"classes": "empty"}, "the class list is empty"),
        ({"classes": "symbols"}, "the class '?!' has no words. Rename it."),
        ({"prompts": "empty"}, "contains no prompt"),
        ({"prompts": "symbols"}, "no {} for the class in '?!'. Add it."),
        ({"out": "clip.pth"}, "Give --out a name that ends in .safetensors"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_written(change, said, files, tmp_path, capsys):
    given = {"out": str(tmp_path / "clip.safetensors")}
    for name, value in change.items():
        made = {"empty": "\n", "symbols": "?!\n"}.get(value)
        given[name] = str(tmp_path / value) if made else value
        if made:
            (tmp_path / value).write_text(made)
    assert run(zero_shot, options_for(files, **given)) == EXIT_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "clip.safetensors").exists()


def test_an_input_size_that_the_network_refuses_is_one_line(made, clip_folder, tmp_path, capsys):
    options = PrecomputeOptions(
        videos=str(clip_folder), out=str(tmp_path / "store"), weights=made("tiny-ViT"), input_size=96
    )
    assert run(precompute, options) == EXIT_USAGE
    assert "open_clip:tiny-ViT: cannot process images of 96 pixels" in capsys.readouterr().err
