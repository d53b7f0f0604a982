"""Plan of an EnergyNet's training: its fingerprint, and errors of invalid inputs."""

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from attn.commands.train_energynet import train_energynet
from attn.commands.train_energynet_plan import make_energy_training
from attn.datasets.fractions import hold_out_videos
from attn.datasets.split import read_split
from attn.errors import UsageError
from attn.training.energy_config import start_share
from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.recipe import paper_recipe


@pytest.fixture
def options(planted, tmp_path):
    return TrainEnergyNetOptions(
        store=str(planted / "store"), split=str(planted / "train.txt"), out=str(tmp_path / "energynet")
    )


def decisive(options, **change):
    return make_energy_training(dataclasses.replace(options, **change))[0].decisive


def test_settings_that_came_later_are_named_only_where_they_are_not_as_usual(options):
    """`decisive` is what a training wrote before these settings existed, so that it can resume."""
    usual = decisive(options)
    assert sorted(usual) == sorted(
        [
            *("energy_margin", "triplet_margin", "triplet_weight", "embedding_dim", "hidden_dim"),
            *("normalise_embedding", "map_scale", "candidates_initial", "candidates_final", "num_hard", "num_random"),
            *("switch_threshold", "lr", "momentum", "weight_decay", "updates", "look_every", "patience"),
            *("holdout_fraction", "seed", "fingerprint", "class_names", "videos", "concepts"),
            *("recipe", "residual", "start_share", "mirror", "centre", "semi_hard"),
        ]
    )
    for change in ({"rank_by": "ranking"}, {"monitor_smoothing": 0.5}):
        assert decisive(options, **change) == usual | change


# Record of a training with `--embedding-dim 32` from before recipes existed, without the entries about its data.
OLD = {
    "energy_margin": 1.0,
    "triplet_margin": 0.5,
    "triplet_weight": 1.0,
    "embedding_dim": 32,
    "hidden_dim": 128,
    "normalise_embedding": False,
    "map_scale": "rms",
    "candidates_initial": 128,
    "candidates_final": 512,
    "num_hard": 64,
    "num_random": 8,
    "switch_threshold": 0.25,
    "lr": 1e-4,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "updates": 20_000,
    "look_every": 500,
    "patience": 10,
    "holdout_fraction": 0.1,
    "seed": 0,
}


@pytest.fixture
def begun_before(options):
    """Run folder, next to `--out`, of a training from before recipes existed."""
    learnt_from = {key: decisive(options)[key] for key in ("fingerprint", "class_names", "videos", "concepts")}
    folder = Path(options.out, "energynet.train")
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"decisive": OLD | learnt_from, "made_by": {}}))
    return folder


def test_a_training_begun_before_there_were_recipes_resumes_with_its_settings(options, begun_before, caplog):
    given = dataclasses.replace(options, embedding_dim=32)
    with caplog.at_level(logging.INFO):
        run, job, _ = make_energy_training(given)
    assert "started before recipes existed" in caplog.text
    assert run.report() is None  # accepted
    assert json.loads(json.dumps(run.decisive)) == json.loads((begun_before / "run.json").read_text())["decisive"]
    assert job.config == paper_recipe(given)
    for change in ({"lr": 0.01}, {"embedding_dim": 64}):
        with pytest.raises(UsageError, match="holds a training with other options"):
            make_energy_training(dataclasses.replace(given, **change))[0].report()


def test_a_training_begun_with_half_a_share_of_unatt_resumes_with_it(options):
    """Before the share depended on the number of videos, it was 0.5 by default."""
    make_energy_training(dataclasses.replace(options, start_share=0.5))[0].begin({})
    resumed, job, _ = make_energy_training(options)
    assert resumed.report() is None  # accepted
    assert start_share(job.config, 33) == 0.5
    with pytest.raises(UsageError, match=r"start_share: 0\.25 here, 0\.5 there"):
        make_energy_training(dataclasses.replace(options, start_share=0.25))[0].report()


def test_recordings_are_held_out_whole_but_not_by_a_training_begun_before(options, tmp_path):
    listed = read_split(options.split)
    ordered = sorted(listed, key=lambda video_id: (listed[video_id], video_id))
    recording_of = {video_id: number // 3 for number, video_id in enumerate(ordered)}  # some hold two classes
    rows = [f"{video_id},{name},r{recording_of[video_id]}" for video_id, name in listed.items()]
    table = tmp_path / "recordings.csv"
    table.write_text("\n".join(["video_id,label,group", *rows]))
    grouped = dataclasses.replace(options, split=str(table), holdout_fraction=0.3)
    run, job, _ = make_energy_training(grouped)
    assert run.decisive["held_out"] == "recordings"
    kept, held = ({(recording_of[one], listed[one]) for one in table.video_ids} for table in (job.train, job.held_out))
    assert held
    assert not kept & held

    begun = {name: value for name, value in run.decisive.items() if name != "held_out"}
    old, job, _ = make_energy_training(grouped, begun=begun)
    assert old.decisive.keys() == begun.keys()
    assert set(job.held_out.video_ids) == hold_out_videos(listed, 0.3, seed=0)


def test_one_that_is_finished_answers_so(options, begun_before, caplog):
    Path(options.out, "energynet.safetensors").write_bytes(b"weights")
    report = {"validation_accuracy": 0.5, "kept_update": 1000, "updates": 6000}
    (begun_before / "report.json").write_text(json.dumps(report))
    with caplog.at_level(logging.INFO):
        assert train_energynet(dataclasses.replace(options, embedding_dim=32)) == 0
    assert "is already finished: validation accuracy 0.500 (update 1000 of 6000)" in caplog.text


def test_the_recipe_of_one_begun_since_is_not_guessed(options):
    paper = paper_recipe(options)
    make_energy_training(paper)[0].begin({})
    assert make_energy_training(paper)[0].report() is None
    with pytest.raises(UsageError, match=r'recipe: "steady" here, "paper" there'):
        make_energy_training(options)[0].report()


def test_a_setting_that_contradicts_the_recipe_is_refused_first(options):
    with pytest.raises(UsageError, match=r"^--recipe paper: it sets --lr to 0.0001, not 0.01\. Omit"):
        make_energy_training(dataclasses.replace(paper_recipe(options), lr=0.01, store="/nowhere"))


@pytest.fixture
def with_words(options, tmp_path):
    """Options with word vectors of the class names and of 30 other words, and a corpus of these words."""
    rng, more = np.random.default_rng(0), [f"w{i}" for i in range(30)]
    lines = [f"{word} {' '.join(map(str, rng.normal(size=40).tolist()))}" for word in ("hug", "kick", "wave", *more)]
    (tmp_path / "words.txt").write_text("\n".join([*lines, ""]))
    (tmp_path / "corpus.txt").write_text("\n".join(more))
    return dataclasses.replace(options, word_vectors=str(tmp_path / "words.txt"), corpus=str(tmp_path / "corpus.txt"))


def test_every_choice_of_the_concept_vectors_has_its_effect(with_words):
    def concepts(**change):
        return make_energy_training(dataclasses.replace(with_words, **change))[1].concepts

    usual = concepts(word_dimensions=20)
    assert usual.vectors.shape == (3, 2 * 2 * 20)
    assert concepts(word_dimensions=20, gaussians=3).vectors.shape == (3, 2 * 3 * 20)
    assert concepts(corpus=None).vectors.shape == (3, 2)
    raw = concepts(word_dimensions=20, concept_norm="none").vectors
    np.testing.assert_allclose(raw / np.linalg.norm(raw, axis=1, keepdims=True), usual.vectors, atol=1e-6)
    assert concepts(corpus=None, aggregation="average").vectors.shape == (3, 40)


def test_what_concept_vectors_are_made_of_decides_and_where_it_lies_does_not(with_words, tmp_path):
    before = decisive(with_words, corpus=None)["concepts"]
    assert sorted(before) == sorted(
        [
            *("aggregation", "dim", "sha256", "format", "word_dim", "words", "spellings", "unknown"),
            *("seed", "fitted_words", "pca_rank", "mixture_size", "same_vector"),
        ]
    )
    usual = decisive(with_words, word_dimensions=20)
    moved = Path(shutil.copy(str(with_words.corpus), tmp_path / "moved.txt"))
    assert decisive(with_words, word_dimensions=20, corpus=str(moved)) == usual
    moved.write_text(moved.read_text() + "\ngone")
    other = {"corpus": str(moved)}
    for change in ({"word_dimensions": 21}, {"gaussians": 3}, {"concept_norm": "none"}, other):
        assert decisive(with_words, **{"word_dimensions": 20} | change)["concepts"] != usual["concepts"]


def test_concept_vectors_that_cannot_be_are_refused(options, with_words):
    with pytest.raises(UsageError, match=r"^--corpus: only --aggregation fisher uses it"):
        decisive(options, corpus=with_words.corpus)
    with pytest.raises(UsageError, match=r"^--gaussians 0: too small\. Give 1 or more\.$"):
        decisive(with_words, gaussians=0)


def test_another_setting_of_them_is_another_training(options):
    run = make_energy_training(options)[0]
    run.begin({})
    assert "rank_by" not in json.loads(Path(run.url, "run.json").read_text())["decisive"]
    assert make_energy_training(options)[0].report() is None
    with pytest.raises(UsageError, match=r"other options \(rank_by: \"ranking\" here, null there\)"):
        make_energy_training(dataclasses.replace(options, rank_by="ranking"))[0].report()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_hard": 33, "candidates_initial": 32}, "--num-hard 33: must be at most --candidates-initial (32)"),
        ({"energy_margin": 0.0}, "--energy-margin 0.0: must be above 0"),
        ({"triplet_margin": 2.5}, "--triplet-margin 2.5: must be from 0 to 2"),
        ({"workers": 0}, "--workers 0: too small. Give 1 or more."),
        ({"map_memory_gb": 0.0}, "--map-memory-gb 0: out of range. Give a number above 0."),
        ({"fraction": 0.0}, "--fraction 0: out of range. Give a number above 0 and up to 1."),
        ({"aggregation": "fisher"}, "--aggregation fisher: needs word vectors"),
        ({"split": "/nowhere/list.txt"}, "/nowhere/list.txt"),
        ({"store": "/nowhere/store"}, "/nowhere/store: no attention store here"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once(options, change, said):
    with pytest.raises(UsageError) as refused:
        make_energy_training(dataclasses.replace(options, **change))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not Path(options.out).exists()


def test_the_folder_of_a_training_is_neither_a_store_nor_named_like_a_file(options, tmp_path):
    for out, said in (
        (options.store, "a store, which results would mix with"),
        (str(tmp_path / "net.safetensors"), "the name of a file, but --out is a folder here"),
    ):
        with pytest.raises(UsageError, match=f"^{out}: {said}"):
            make_energy_training(dataclasses.replace(options, out=out))
    assert not (tmp_path / "net.safetensors").exists()


def test_videos_that_the_store_lacks_are_listed_and_refused_unless_allowed(options, planted, tmp_path):
    listed = tmp_path / "more.txt"
    listed.write_text((planted / "train.txt").read_text() + "Hug/v_Hug_g99_c01.avi 1\n")
    more = dataclasses.replace(options, split=str(listed))
    with pytest.raises(UsageError, match=r"1 of the 25 videos .*v_Hug_g99_c01\. .*--allow-missing"):
        make_energy_training(more)
    _, job, _ = make_energy_training(dataclasses.replace(more, allow_missing=True))
    assert len(job.train.video_ids) + len(job.held_out.video_ids) == 24


def test_a_class_outside_the_stores_is_refused(options, tmp_path):
    listed = tmp_path / "other.txt"
    listed.write_text("Dance/v_Dance_g01_c01.avi 1\n")
    with pytest.raises(UsageError, match=r"class 'Dance' is not among the 3 class names of .*store, whose maps"):
        make_energy_training(dataclasses.replace(options, split=str(listed)))


def test_a_store_that_is_not_finished_is_refused_unless_allowed(options, planted, tmp_path):
    shutil.copytree(planted / "store", tmp_path / "store")
    (tmp_path / "store" / "_SUCCESS.json").unlink()
    partial = dataclasses.replace(options, store=str(tmp_path / "store"))
    with pytest.raises(UsageError, match=r"is not finished.*--allow-partial"):
        make_energy_training(partial)
    make_energy_training(dataclasses.replace(partial, allow_partial=True))
