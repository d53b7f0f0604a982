"""A zero-shot classifier in place of the CNN of Web images: its steps, its rows, and the whole of it once."""

import dataclasses
import json

import open_clip
import pytest
import safetensors.torch

from attn.commands.choose import _Winner, comparison
from attn.commands.choose_options import ChooseOptions
from attn.commands.reproduction.cell import cell_of
from attn.commands.reproduction.cell_scores import name_of
from attn.commands.reproduction.experiment import make_steps
from attn.commands.reproduction.reproduce import reproduce, resolved
from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.commands.zero_shot import zero_shot
from attn.commands.zero_shot_options import ZeroShotOptions
from attn.eval.choice import Choice
from attn.models.checkpoint import load_checkpoint, save_checkpoint
from attn.training.energy_config import EnergyConfig
from tests.clip_towers import whole_clip
from tests.small_inputs import write_clip

pytestmark = pytest.mark.usefixtures("tiny_clips")

NAME = "open_clip:tiny-RN"
CLASSES = ("Kick", "Wave")
TINY = EnergyConfig(updates=40, look_every=20, candidates_initial=16, candidates_final=32, num_hard=8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """URL of a zero-shot classifier."""
    return classifier(tmp_path_factory.mktemp("clip"), NAME, whole_clip("tiny-RN"))


def classifier(folder, name, model):
    """Write a zero-shot classifier, return its URL."""
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    (folder / "prompts.txt").write_text("a photo of {}.")
    safetensors.torch.save_file(model.state_dict(), folder / "whole.safetensors")
    paths = (str(folder / name) for name in ("classes.txt", "clip.safetensors", "whole.safetensors", "prompts.txt"))
    options = ZeroShotOptions(name, *paths)
    assert zero_shot(options) == 0
    return options.out


@pytest.fixture
def zero_shot_plan(plan, clip):
    return dataclasses.replace(plan, backbones=(NAME,), web_cnn=clip, seeds=(0,), splits=(1,), adapt=False)


def test_it_is_scored_as_it_is_and_with_an_energynet_on_its_maps(two_splits, zero_shot_plan, clip):
    steps, cells = make_steps(two_splits, zero_shot_plan)
    assert [cell.trained_on for cell in cells] == ["zeroshot", "020", "zeroshot-020", "100", "zeroshot-100"]
    assert [cell_of(cell.scores) for cell in cells] == cells
    by_name = {step.name: step for step in steps}
    root = f"{NAME}/seed0"
    maps, net = (by_name[f"{root}/{name}"] for name in ("zeroshot/maps", "split1/zeroshot/020/energynet"))
    assert maps.options.weights == clip
    assert net.options.store == maps.options.out
    assert net.options.split in {by_name[f"{root}/split1/020/cnn"].options.split}
    assert {maps.name} <= set(net.needs)
    whole = by_name[f"{root}/split1/100/cnn"].options
    assert whole.split in maps.options.lists
    assert whole.weights == clip


@pytest.mark.parametrize("change", [{"recipe": "paper"}, {"adapt": True}, {"adapt": True, "adapt_to": "all"}])
def test_its_maps_are_those_of_the_energynets_training_videos(two_splits, zero_shot_plan, change):
    steps, cells = make_steps(two_splits, dataclasses.replace(zero_shot_plan, **change))
    maps = next(step.options for step in steps if step.name.endswith("seed0/zeroshot/maps"))
    nets = [step.options for step in steps if step.name.endswith("/zeroshot/100/energynet")]
    assert all(net.split in maps.lists or not maps.lists for net in nets)
    assert len(nets) == 1
    assert ("adapted" in {cell.trained_on for cell in cells}) == change.get("adapt", False)


def test_a_network_trained_further_is_not_zero_shot(two_splits, zero_shot_plan, clip, tmp_path):
    cnn = dataclasses.replace(load_checkpoint(clip), trained={"epochs": 3})
    save_checkpoint(url := str(tmp_path / "tuned.safetensors"), cnn)
    _, cells = make_steps(two_splits, dataclasses.replace(zero_shot_plan, web_cnn=url))
    assert {cell.trained_on for cell in cells} == {"web", "020", "100", "noimage"}


def test_names_of_its_rows():
    names = [name_of(method, "zeroshot") for method in ("cnn", "unatt", "cnn_average_calibrated")]
    assert names == ["zero-shot", "zero-shot+UnAtt", "zero-shot+calibrated CNN"]
    assert name_of("zeroshot_energynet", "020") == "zero-shot+EnergyNet"


@pytest.mark.parametrize(
    ("trained_on", "scores", "maps", "net"),
    [
        ("zeroshot", "unatt", "zeroshot/maps", None),
        ("100", "zeroshot_energynet", "zeroshot/maps", "all/zeroshot/100/energynet"),
        ("100", "energynet", "all/100/maps", "all/100/energynet"),
        ("100", "energynet_calibrated", "all/100/maps", "all/100/energynet"),
        ("100", "zeroshot_energynet_calibrated", "zeroshot/maps", "all/zeroshot/100/energynet"),
    ],
)
def test_choose_finds_the_steps_of_its_rows(trained_on, scores, maps, net, clip, tmp_path):
    labels = labelled_videos(tmp_path)
    options = ChooseOptions(
        weights=clip, videos=str(tmp_path / "videos"), labels=labels, out=str(tmp_path / "out"), adapt=False, parts=2
    )
    record = {"backbone": NAME, "trained_on": trained_on, "scores": scores}
    winner = _Winner(
        dataclasses.replace(resolved(comparison(options)), map_source="same_cnn"), Choice(record, {}, None)
    )
    assert winner.maps.name == f"{NAME}/seed0/{maps}"
    assert (winner.energynet and winner.energynet.name) == (net and f"{NAME}/seed0/{net}")


def labelled_videos(folder):
    """Write twelve clips and a table of their labels, return its URL."""
    rows = ["video_id,label,group"]
    (folder / "videos").mkdir()
    for seed in range(12):
        write_clip(folder / "videos" / f"clip{seed:02}.avi", 40, seed)
        rows.append(f"clip{seed:02},{CLASSES[seed % 2]},{seed // 2}")
    (folder / "labels.csv").write_text("\n".join([*rows, ""]))
    return str(folder / "labels.csv")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_whole_reproduction(tmp_path):
    """With a network of open_clip's own list, because its steps run in other processes."""
    clip = classifier(tmp_path, "open_clip:ViT-S-32", open_clip.create_model("ViT-S-32"))
    options = ReproduceOptions(
        dataset="labelled",
        out=str(tmp_path / "out"),
        labels=labelled_videos(tmp_path),
        root=str(tmp_path / "videos"),
        parts=2,
        splits=(1,),
        web_cnn=clip,
        adapt=False,
        frame_epochs=1,
        energynet=TINY,
        map_source="same_cnn",
        stride=8,
    )
    assert reproduce(options) == 0
    results = json.loads((tmp_path / "out" / "tables.json").read_text())
    found = {(one["trained_on"], one["method"]) for one in results["methods"]}
    assert {("zeroshot", "zero-shot"), ("zeroshot", "zero-shot+UnAtt"), ("100", "zero-shot+EnergyNet")} <= found
    assert {one["first"] for one in results["pairs"]} >= {"zero-shot+UnAtt", "zero-shot+EnergyNet"}
    assert "| open_clip:ViT-S-32 | zero-shot+UnAtt |" in (tmp_path / "out" / "tables.md").read_text()
    assert results["failed"] == {}
