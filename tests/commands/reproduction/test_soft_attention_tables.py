"""Tables of the soft-attention LSTM: plan, lists, figures, refusals, and a whole run on a tiny rendered data set."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from attn.commands.reproduction.cell import CNN, LSTM, Cell
from attn.commands.reproduction.labelled_videos import LabelledSplit, LabelledVideos, write_lists
from attn.commands.reproduction.reproduce_options import VARIANTS, SoftAttentionTablesOptions
from attn.commands.reproduction.soft_attention_results import collect
from attn.commands.reproduction.soft_attention_steps import make_steps
from attn.commands.reproduction.soft_attention_tables import _resolved, reproduce_soft_attention
from attn.datasets import hollywood2
from attn.datasets.split import read_label_sets
from attn.errors import UsageError
from attn.eval.metrics import top_k_accuracy
from attn.report.paper_tables import as_markdown
from attn.report.soft_attention_tables import tables
from attn.report.tables_csv import as_csv
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.storage.scores import Scores, scores_parquet

NAMES = ("Kick", "Wave")
SPLITS = {"split1": 12, "split2": 20}


@pytest.fixture
def options(tmp_path):
    return SoftAttentionTablesOptions(
        paper="soft_attention", dataset="hmdb51", out=str(tmp_path / "out"), backbone="googlenet", weights="w.pth"
    )


@pytest.fixture
def videos():
    """Two splits of a data set, on paper."""
    splits = [
        LabelledSplit(
            name,
            {f"{name}-a{i}": (NAMES[i % 2],) for i in range(6)},
            {f"{name}-b{i:02}": (NAMES[i % 2],) for i in range(count)},
        )
        for name, count in SPLITS.items()
    ]
    return LabelledVideos("hmdb51", NAMES, "videos", None, 1, "top_1", tuple(splits))


def test_every_step_comes_after_what_it_needs(videos, options):
    for change in ({}, {"cnn_epochs": 2, "seeds": (0, 1)}):
        for images in (None, "images"):
            data = dataclasses.replace(videos, images=images)
            steps, cells = make_steps(data, dataclasses.replace(options, **change))
            names = [step.name for step in steps]
            assert len(set(names)) == len(names)
            for place, step in enumerate(steps):
                assert set(step.needs) <= set(names[:place])
            assert {cell.scores for cell in cells} == {step.name for step in steps if step.job == "evaluate"}


def test_networks_differ_in_one_setting_and_share_one_store(videos, options):
    given = SoftAttentionConfig(attention_layers=3, epochs=2)
    steps = make_steps(videos, dataclasses.replace(options, soft_attention=given, seeds=(4,)))[0]
    grids, *others = steps
    assert set(grids.options.lists) == {step.options.split for step in others}
    nets = {step.name.split("/")[-2]: step.options for step in others if "split1" in step.name and "lstm" in step.name}
    scores = next(step.options for step in others if step.job == "evaluate")
    nets.pop("lstm")
    assert {(net.store, net.seed, net.epochs) for net in nets.values()} == {(grids.options.out, 4, 2)}
    found = {
        name: (net.pooling, net.attention, net.attention_penalty, net.attention_layers) for name, net in nets.items()
    }
    assert found == {
        "attention": ("attention", "additive", 0, 3),
        "average": ("average", "additive", 0, 1),
        "max": ("max", "additive", 0, 1),
        "hidden": ("attention", "hidden", 0, 1),
        "lambda1": ("attention", "additive", 1, 3),
        "lambda10": ("attention", "additive", 10, 3),
    }
    assert scores.model == tuple(f"{name}={net.out}" for name, net in nets.items())
    assert (scores.methods, scores.train_split) == (("svm",), nets["max"].split)


def test_clips_of_several_classes_have_lists_that_are_read_back(options):
    train = {"a": ("Kiss", "Run"), "b": (), "c": ("Eat",)}
    data = LabelledVideos(
        "hollywood2",
        hollywood2.CLASSES,
        "videos",
        None,
        1,
        "map_noninterpolated",
        (LabelledSplit("split1", train, {"d": ("Run",)}),),
        several=True,
    )
    write_lists(data, options)
    steps = make_steps(data, options)[0]
    lstm = next(step.options for step in steps if step.job == "train_soft_attention")
    assert read_label_sets(lstm.split, hollywood2.CLASSES, part="train") == train
    assert steps[0].options.columns == ("grid",)
    assert steps[-1].options.methods is None  # SVMs need one class per video


@pytest.fixture
def cells(options, videos, new_manifest):
    """Scores of three networks and of the CNN for two seeds, in files."""
    found, random = {}, np.random.default_rng(0)
    methods = {LSTM: ("attention", "average", "lambda1", "svm"), CNN: ("cnn", "unatt")}
    for seed in (0, 1):
        for split in videos.splits:
            positives = np.array([[name == own for name in NAMES] for (own,) in split.test.values()])
            for kind, names in methods.items():
                cell = Cell("googlenet", seed, split.name, kind, f"googlenet/seed{seed}/{split.name}/{kind}/scores")
                values = {name: random.normal(size=positives.shape) + positives for name in names}
                scores = Scores(sorted(split.test), positives, values)
                folder = options.out + "/" + cell.scores
                found[cell] = scores, folder
    for scores, folder in found.values():
        Path(folder).mkdir(parents=True)
        Path(folder, "scores.parquet").write_bytes(scores_parquet(scores, new_manifest(class_names=NAMES)))
    return {cell: scores for cell, (scores, _) in found.items()}


def by_hand(cells, method):
    """Mean over splits of the mean over seeds, in plain loops."""
    kind = CNN if method in ("cnn", "unatt") else LSTM
    of_splits = []
    for split in SPLITS:
        own = [scores for cell, scores in cells.items() if (cell.split, cell.trained_on) == (split, kind)]
        of_splits.append(np.mean([top_k_accuracy(scores.by_method[method], scores.labels) for scores in own]))
    return np.mean(of_splits)


def test_figures_are_those_by_hand(options, videos, cells):
    videos = dataclasses.replace(videos, name="ucf11")
    results = collect(dataclasses.replace(options, seeds=(0, 1)), videos, list(cells), {"a/b": "out of memory"})
    found = {one["method"]: one["top_1"]["value"] for one in results["methods"]}
    assert list(found) == ["attention", "average", "lambda1", "svm", "cnn", "unatt"]
    assert found == pytest.approx({method: by_hand(cells, method) for method in found})
    pairs = {(one["first"], one["second"]): one["value"] for one in results["pairs"]}
    assert list(pairs) == [("attention", one) for one in ("average", "lambda1", "svm", "cnn", "unatt")]
    for first, second in pairs:
        assert pairs[first, second] == pytest.approx(by_hand(cells, first) - by_hand(cells, second))
    assert {one["method"]: one["paper"] for one in results["methods"] if one["paper"]} == {
        "attention": {"top_1": 84.96},
        "average": {"top_1": 82.56},
        "lambda1": {"top_1": 83.52},
    }


def test_tables_show_ours_beside_the_papers(options, videos, cells):
    videos = dataclasses.replace(videos, name="ucf11")
    results = collect(dataclasses.replace(options, seeds=(0, 1)), videos, list(cells), {"a/b": "out of memory"})
    text = as_markdown(results, tables(results))
    assert re.search(r"\| googlenet \| soft attention, λ = 0 \| .* \| 32 \| 2 × 2 \| 84\.96 \|", text)
    assert "| googlenet | average-pooled LSTM < soft attention, λ = 0 |" in text
    assert "| `a/b` | out of memory |" in text
    assert "ucf11,googlenet,,,attention" in as_csv(results)
    for change in ({"name": "ucf11_random"}, {"name": "hmdb51"}):  # HMDB51's figures are those of split 1
        other = collect(options, dataclasses.replace(videos, **change), list(cells), {})
        assert not any(one["paper"] for one in other["methods"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"root": None}, "--dataset hmdb51: --root is missing"),
        ({"variants": ("max", "max")}, "--variants max max: duplicate values"),
        ({"variants": ()}, "--variants: empty. Name at least one."),
        ({"cnn_epochs": -1}, "--cnn-epochs -1: too small. Give 0 or more."),
        ({"dataset": "hollywood2", "cnn_epochs": 1}, "clips of hollywood2 may show several. Leave out --cnn-epochs."),
        ({"soft_attention": SoftAttentionConfig(batch=0)}, "--soft-attention.batch 0: must be at least 1."),
        (
            {"soft_attention": SoftAttentionConfig(pooling="max")},
            "--soft-attention.pooling max: set by --variants. Leave it out.",
        ),
        ({"soft_attention": SoftAttentionConfig(seed=3)}, "--soft-attention.seed 3: set by --seeds. Leave it out."),
        ({"splits": (4,)}, "--splits 4: hmdb51 has no such split. Choose from 1 to 1."),
        ({"backbone": "no_net"}, "torchvision has no weights for no_net"),
        ({"weights": "/none.pth"}, "/none.pth"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_written(options, tmp_path, change, said):
    root = tmp_path / "hmdb51"
    (root / "wave").mkdir(parents=True)
    (root / "wave_test_split1.txt").write_text("a.avi 1\nb.avi 2\n")
    for name in "ab":
        (root / "wave" / f"{name}.avi").touch()
    for part in ("AVIClips", "ClipSets"):
        (root / part).mkdir()
    wrong = dataclasses.replace(options, **{"root": str(root), "weights": "imagenet", **change})
    with pytest.raises(UsageError, match=re.escape(said)):
        reproduce_soft_attention(wrong)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_papers_tables_is_refused(options, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "plan.json").write_text(json.dumps({"options": {"dataset": "synthetic"}, "steps": []}))
    new = dataclasses.replace(options, dataset="synthetic", weights=None)
    with pytest.raises(UsageError, match=r"--paper soft_attention: .*/out was made with attention_transfer\. Choose"):
        reproduce_soft_attention(new)


def test_settings_of_hmdb51_are_the_released_ones_unless_turned_off(options):
    resolved = lambda **change: _resolved(dataclasses.replace(options, **change)).soft_attention  # noqa: E731
    usual = resolved()
    assert (usual.hidden_dim, usual.attention_layers, usual.learning_rate) == (1024, 3, 2e-4)
    sgd = resolved(soft_attention=SoftAttentionConfig(optimizer="sgd", hidden_dim=64))
    assert (sgd.hidden_dim, sgd.learning_rate) == (64, pytest.approx(0.0384))
    assert resolved(data_settings=False) == options.soft_attention


def test_variants_of_earlier_runs_stay_in_the_tables(options, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "plan.json").write_text(json.dumps({"options": {"variants": ["attention"]}, "steps": []}))
    assert _resolved(dataclasses.replace(options, variants=("max", "average"))).variants == (
        "attention",
        "average",
        "max",
    )


@pytest.mark.long
@pytest.mark.timeout(900)
def test_all_networks_are_trained_and_a_second_run_repeats_nothing(ray_local, options, caplog):
    tiny = dataclasses.replace(
        options,
        dataset="synthetic",
        backbone=None,
        weights=None,
        splits=(1,),
        image_epochs=1,
        cnn_epochs=1,
        input_size=64,
        render_images=48,
        render_videos=32,
        soft_attention=SoftAttentionConfig(epochs=1, hidden_dim=16),
    )
    assert reproduce_soft_attention(tiny) == 0
    with open(f"{tiny.out}/tables.json") as file:
        results = json.load(file)
    assert [one["method"] for one in results["methods"]] == [*VARIANTS, "svm", "cnn", "unatt"]
    assert results["trainings"]["count"] == len(VARIANTS) + 2
    assert results["failed"] == {}
    with caplog.at_level("INFO"):
        assert reproduce_soft_attention(tiny) == 0
    assert "13 steps, 13 of them finished before" in caplog.text
