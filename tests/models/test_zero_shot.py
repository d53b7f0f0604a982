"""Zero-shot classifiers: logits of open_clip's own encoders, published layouts, and names, inputs and downloads."""

import re
import sys

import numpy as np
import open_clip
import pytest
import safetensors.torch
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from attn.errors import UsageError
from attn.models.backbone import build_backbone, network_input
from attn.models.checkpoint import (
    check_input_size,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    untrained_cnn,
)
from attn.models.network_input import NetworkInput
from attn.models.open_clip_networks import published_clip
from attn.models.weights_file import WeightsFile, read_weights_file
from attn.models.zero_shot import PROMPTS, zero_shot_classifier
from attn.video.transform import Resampling, resize_and_crop
from tests.clip_towers import TOWERS, whole_clip

pytestmark = pytest.mark.usefixtures("tiny_clips")

PHRASES = {"PlayingGuitar": "playing guitar", "{odd}": "{odd} {} braces", "Wave": "wave"}
OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def classifier(name, model, prompts):
    file = WeightsFile("file", dict(model.state_dict()), "digest")
    return zero_shot_classifier(f"open_clip:{name}", file, PHRASES, prompts, {"on": "noise"})


def images_for(name):
    size = TOWERS[name]["vision_cfg"]["image_size"]
    return torch.randn(2, 3, size, size)


@pytest.mark.parametrize("name", [name for name in TOWERS if name != "tiny-ViT-wide"])
def test_logits_are_open_clips_own_product_of_image_and_text(name, assert_close_to_largest):
    model = whole_clip(name)
    made, images = classifier(name, model, ["a photo of {}."]), images_for(name)
    texts = open_clip.get_tokenizer(name)([f"a photo of {phrase}." for phrase in PHRASES.values()])
    with torch.inference_mode():
        image, text = model.encode_image(images, normalize=True), model.encode_text(texts, normalize=True)
        expected = model.logit_scale.exp() * image @ text.T
        if name == "tiny-Sigmoid":
            expected += model.logit_bias
            assert model.logit_bias == -10
        assert_close_to_largest(made.cnn.backbone(images), expected, 1e-5)
        assert_close_to_largest(made.embeddings, text, 1e-5)
    assert made.cnn.class_names == tuple(PHRASES)
    assert expected.std() > 0.1


def test_texts_of_several_prompts_are_averaged_at_length_1():
    model = whole_clip("tiny-ViT")
    made = classifier("tiny-ViT", model, ["a photo of {}.", "{}", "{}, {}"])
    tokenizer = open_clip.get_tokenizer("tiny-ViT")
    for row, phrase in zip(made.embeddings, PHRASES.values(), strict=True):
        total = torch.zeros(24)
        for text in (f"a photo of {phrase}.", phrase, f"{phrase}, {phrase}"):
            with torch.inference_mode():
                embedding = model.encode_text(tokenizer([text]))[0]
            total += embedding / embedding.norm()
        assert torch.allclose(row, total / total.norm(), atol=1e-6)


def test_prompts_are_48_different_sentences_about_actions():
    assert len(set(PROMPTS)) == 48
    assert {"a photo of a person {}.", "a video of the person practicing {}."} < set(PROMPTS)


@pytest.mark.parametrize("layout", ["safetensors", "bin", "pt, half", "training checkpoint", "older custom text"])
def test_a_file_in_the_published_layout(layout, tmp_path, assert_close_to_largest):
    name = "tiny-Sigmoid" if layout == "older custom text" else "tiny-ViT"
    model = whole_clip(name)
    weights, relative = {key: tensor.clone() for key, tensor in model.state_dict().items()}, 1e-5
    url = str(tmp_path / f"open_clip_model.{layout[:2] if layout.startswith('pt') else 'bin'}")
    if layout == "safetensors":
        safetensors.torch.save_file(weights, url := str(tmp_path / "open_clip_model.safetensors"))
    elif layout == "pt, half":
        extra = {"input_resolution": torch.tensor(64), "context_length": torch.tensor(16)}
        torch.save({key: tensor.half() for key, tensor in weights.items()} | extra, url)
        relative = 1e-2
    elif layout == "training checkpoint":
        weights["logit_scale"] = weights["logit_scale"][None]
        torch.save({"epoch": 3, "state_dict": {f"module.{key}": tensor for key, tensor in weights.items()}}, url)
    else:
        torch.save({key.removeprefix("text."): tensor for key, tensor in weights.items()}, url)
    images = images_for(name)
    made = zero_shot_classifier(f"open_clip:{name}", read_weights_file(url), PHRASES, ["{}"], {})
    expected = classifier(name, model, ["{}"])
    assert_close_to_largest(made.cnn.backbone(images), expected.cnn.backbone(images), relative)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda weights: weights.pop("ln_final.weight"), r"missing ln_final\.weight"),
        (lambda weights: weights.update(more=torch.ones(2)), r"unknown more"),
        (lambda weights: weights.update({"visual.proj": torch.ones(2, 2)}), r"visual\.proj has shape \(2, 2\)"),
        (lambda weights: weights["text_projection"].fill_(torch.nan), r"text_projection contains NaN"),
    ],
)
def test_weights_that_do_not_fit(change, why):
    weights = {key: tensor.clone() for key, tensor in whole_clip("tiny-ViT").state_dict().items()}
    change(weights)
    with pytest.raises(UsageError, match=why) as no:
        zero_shot_classifier("open_clip:tiny-ViT", WeightsFile("file", weights, ""), PHRASES, ["{}"], {})
    assert "\n" not in str(no.value)


def test_a_tokenizer_that_cannot_be_had_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {"my-SigLIP": TOWERS["tiny-ViT"]})
    file = WeightsFile("file", whole_clip("my-SigLIP").state_dict(), "")
    with pytest.raises(UsageError, match=r"my-SigLIP: open_clip cannot open its tokenizer: .*transformers.*--backbone"):
        zero_shot_classifier("open_clip:my-SigLIP", file, PHRASES, ["{}"], {})


def test_a_checkpoint_keeps_classes_input_and_logits(tmp_path):
    made = classifier("tiny-RN", whole_clip("tiny-RN"), ["{}"])
    save_checkpoint(url := str(tmp_path / "clip.safetensors"), made.cnn)
    loaded, images = load_checkpoint(url), images_for("tiny-RN")
    assert torch.equal(loaded.backbone(images), made.cnn.backbone(images))
    assert (loaded.class_names, loaded.trained) == (tuple(PHRASES), {"on": "noise"})
    assert (loaded.input_size, loaded.mean, loaded.std) == (96, OPENAI_MEAN, OPENAI_STD)
    assert loaded.resampling == Resampling("bicubic")


def test_a_class_list_of_another_length_is_refused(tmp_path):
    made = classifier("tiny-ViT", whole_clip("tiny-ViT"), ["{}"])
    save_checkpoint(url := str(tmp_path / "clip.safetensors"), made.cnn)
    with pytest.raises(UsageError, match=r"was trained for 3 classes .* but the class list has 2 classes"):
        load_weights(url, classes=("wave", "kick"))
    safetensors.torch.save_file(made.cnn.backbone.export_weights(), bare := str(tmp_path / "bare.safetensors"))
    with pytest.raises(UsageError, match=r"the classifier has 3 outputs, not 2\. Give the class list"):
        load_weights(bare, "open_clip:tiny-ViT", ("wave", "kick"))
    assert load_weights(url, classes=("wave", "kick"), new_classifier=True).new_classifier


def test_a_whole_network_is_no_checkpoint(tmp_path):
    safetensors.torch.save_file(whole_clip("tiny-ViT").state_dict(), url := str(tmp_path / "clip.safetensors"))
    with pytest.raises(UsageError, match=r"has a text encoder too\. Make a checkpoint of it with jobs/zero_shot\.py"):
        load_weights(url, "open_clip:tiny-ViT", ("wave", "kick"))


@pytest.mark.parametrize("name", ["tiny-ViT", "tiny-RN"])
def test_an_input_size_that_the_network_refuses(name):
    with torch.device("meta"):
        cnn = untrained_cnn(f"open_clip:{name}", ("wave", "kick"), None, None, 128)
        with pytest.raises(UsageError, match=r"cannot process images of 128 pixels .*Change --input-size") as no:
            check_input_size(cnn)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ViT-B-32.laion2b_s34b_b79k", NetworkInput(224, OPENAI_MEAN, OPENAI_STD, Resampling("bicubic"))),
        ("ViT-B-32", NetworkInput(224, OPENAI_MEAN, OPENAI_STD, Resampling("bicubic"))),
        ("ViT-L-14.laion2b_s32b_b82k", NetworkInput(224, (0.5,) * 3, (0.5,) * 3, Resampling("bicubic"))),
        ("ViT-L-14", NetworkInput(224, OPENAI_MEAN, OPENAI_STD, Resampling("bicubic"))),  # its weights disagree
        ("ViT-B-16-SigLIP", NetworkInput(224, (0.5,) * 3, (0.5,) * 3, Resampling("bicubic", squash=True))),
        ("MobileCLIP-S1.datacompdr", NetworkInput(256, (0.0,) * 3, (1.0,) * 3, Resampling("bilinear"))),
    ],
)
def test_the_input_is_that_of_the_published_weights(name, expected):
    assert network_input(f"open_clip:{name}") == expected


def test_without_a_tag_the_input_is_that_of_weights_which_agree(monkeypatch):
    weights = {tag: open_clip.get_pretrained_cfg("ViT-L-14", tag) for tag in ("laion2b_s32b_b82k", "openai")}
    published = {"tiny-ViT": {"laion2b_s32b_b82k": weights["laion2b_s32b_b82k"]}}
    monkeypatch.setattr(open_clip.pretrained, "_PRETRAINED", published)
    assert network_input("open_clip:tiny-ViT").mean == (0.5, 0.5, 0.5)
    published["tiny-ViT"] |= weights
    assert network_input("open_clip:tiny-ViT").mean == OPENAI_MEAN


@pytest.mark.parametrize("name", ["ViT-B-32.laion2b_s34b_b79k", "ViT-B-16-SigLIP.webli", "MobileCLIP-S1.datacompdr"])
def test_images_are_prepared_as_by_open_clips_own_transform(name):
    texture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    own = network_input(f"open_clip:{name}")
    image = Image.fromarray(texture).resize((3 * own.size, 2 * own.size))  # whose crop falls on whole pixels
    config = PreprocessCfg(
        **{
            key: value
            for key, value in open_clip.get_pretrained_cfg(*name.split(".")).items()
            if key in PreprocessCfg.__dataclass_fields__
        }
        | {"size": own.size}
    )
    theirs = image_transform_v2(config, is_train=False)(image)
    pixels = torch.tensor(resize_and_crop(image, own.size, own.resampling)).permute(2, 0, 1) / 255
    ours = (pixels - torch.tensor(own.mean)[:, None, None]) / torch.tensor(own.std)[:, None, None]
    assert (ours - theirs).abs().max() < 1.01 / 255 / min(own.std)


@pytest.mark.parametrize("ask", [network_input, lambda name: build_backbone(name, 3), published_clip])
@pytest.mark.parametrize("name", ["ViT-B-33", "hf-hub:someone/something", "local-dir:/tmp/net", ""])
def test_the_nearest_names_are_named(name, ask):
    with pytest.raises(UsageError) as refused:
        ask(f"open_clip:{name}")
    version = re.escape(open_clip.__version__)
    found = re.fullmatch(
        rf"open_clip:{re.escape(name)}: open_clip {version} has no such network\. The nearest are (.*)\.",
        str(refused.value),
    )
    assert len(found[1].split(", ")) == 3
    if name == "ViT-B-33":
        assert "open_clip:ViT-B-32" in found[1]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ViT-B-32.laion2b", r"has no such weights\. The nearest are open_clip:ViT-B-32\.laion2b_\w+, .*"),
        ("tiny-ViT.openai", r"has no such weights\. It has none"),
        ("ViT-B-32.openai", r"another activation function \(QuickGELU\)\. Give open_clip:ViT-B-32-quickgelu\.openai"),
        ("ViT-B-32", r"the weights are not given\. Add the tag of published weights to the name \(openai, .*--weights"),
        ("tiny-ViT", r"the weights are not given\. None are published, or give a file with --weights"),
    ],
)
def test_weights_that_are_not_published(name, why):
    with pytest.raises(UsageError, match=rf"^open_clip:{re.escape(name)}: .*{why}\.$"):
        published_clip(f"open_clip:{name}")


def test_without_open_clip_the_line_that_installs_it_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(UsageError, match=r"open_clip is missing .*pip install 'attn\[clip\]'"):
        build_backbone("open_clip:ViT-B-32", 3)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Hugging Face's cache with a file of random weights as the hub has it, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    published = {"noise": {**open_clip.get_pretrained_cfg("ViT-B-32", "laion2b_e16"), "hf_hub": "someone/tiny/"}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-ViT", published)
    model, commit = whole_clip("tiny-ViT"), "0" * 40
    folder = tmp_path / "models--someone--tiny"
    for path, content in {
        "refs/main": commit.encode(),
        f"snapshots/{commit}/open_clip_model.safetensors": safetensors.torch.save(model.state_dict()),
    }.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(content)
    return model


def test_published_weights_come_by_open_clips_own_download(hub):
    file = read_weights_file(published_clip("open_clip:tiny-ViT.noise"))
    made = zero_shot_classifier("open_clip:tiny-ViT.noise", file, PHRASES, ["{}"], {})
    images = images_for("tiny-ViT")
    assert torch.equal(made.cnn.backbone(images), classifier("tiny-ViT", hub, ["{}"]).cnn.backbone(images))


def test_a_failed_download_is_one_line(hub):
    with pytest.raises(UsageError, match=r"ViT-B-32\.laion2b_e16: cannot download its weights: .*--weights\.$") as no:
        published_clip("open_clip:ViT-B-32.laion2b_e16")
    assert "\n" not in str(no.value)
