"""The tables of docs/results show what the text beside them claims, where the paper's order holds and where not."""

import csv
from pathlib import Path

import pytest

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
SHARES = ("005", "050", "100")


def rows(name, **wanted):
    with (RESULTS / name).open() as file:
        return [row for row in csv.DictReader(file) if all(row[key] == value for key, value in wanted.items())]


def difference(name, first, second, trained_on):
    found = rows(name, table="pairs", first=first, second=second, trained_on=trained_on, figure="top_1")
    assert len(found) == 1
    return tuple(float(found[0][key]) for key in ("low", "value", "high"))


@pytest.mark.parametrize("other", ["finetune+CNN", "finetune+UnAtt"])
def test_on_real_video_the_energynet_is_ahead_by_more_than_chance(other):
    low, value, _ = difference("ut_interaction.csv", "finetune+EnergyNet", other, "100")
    assert value > low > 0


def test_on_real_video_unatt_is_level_with_the_cnn():
    low, _, high = difference("ut_interaction.csv", "finetune+UnAtt", "finetune+CNN", "100")
    assert low < 0 < high


def test_on_rendered_video_the_energynet_passes_unatt_from_half_of_the_videos_on():
    behind = [difference("synthetic.csv", "finetune+EnergyNet", "finetune+UnAtt", share)[1] for share in ("005", "010")]
    ahead = [difference("synthetic.csv", "finetune+EnergyNet", "finetune+UnAtt", share)[0] for share in ("050", "100")]
    assert max(behind) < 0 < min(ahead)


def test_on_rendered_video_the_energynets_gain_grows_with_the_videos_where_the_papers_shrinks():
    gains = [
        difference("synthetic.csv", "finetune+EnergyNet", "finetune+CNN", share)[1] for share in ("005", "050", "100")
    ]
    assert gains == sorted(gains)
    low, _, high = difference("synthetic.csv", "finetune+EnergyNet", "finetune+CNN", "100")
    assert low < 0 < high


def test_soft_attention_is_behind_the_average_on_real_clips_and_ahead_within_chance_on_rendered_ones():
    def pair(name, second):
        (found,) = rows(name, table="pairs", first="attention", second=second)
        return tuple(float(found[key]) for key in ("low", "value", "high"))

    assert pair("soft_attention_ucf101_5.csv", "average")[2] < 0
    for second in ("average", "max", "lambda1", "lambda10"):
        low, value, _ = pair("soft_attention_synthetic.csv", second)
        assert low < 0 < value
    assert pair("soft_attention_synthetic.csv", "svm")[0] > 0
    text = (RESULTS / "soft_attention.md").read_text()
    for name in ("ucf101_5", "synthetic"):
        for row in rows(f"soft_attention_{name}.csv", table="methods", figure="top_1"):
            value, low, high = (100 * float(row[key]) for key in ("value", "low", "high"))
            assert f"| {value:.1f} ({low:.1f} to {high:.1f}) |" in text


@pytest.mark.parametrize("name", ["synthetic", "joined"])
def test_attention_is_ahead_of_the_mean_in_untrimmed_videos_and_the_text_has_the_figures(name):
    file, text = f"tsrnet_{name}.csv", (RESULTS / "tsrnet.md").read_text()
    for figure in ("map_noninterpolated", "mAP@0.5, activitynet"):
        table = "pairs" if figure == "map_noninterpolated" else "detection_pairs"
        (pair,) = rows(file, table=table, first="srnet", second="two_stream", figure=figure)
        assert float(pair["low"]) > 0
    recognition = rows(file, table="methods", figure="map_noninterpolated")
    assert len(recognition) >= 4
    for row in recognition:
        value, low, high = (100 * float(row[key]) for key in ("value", "low", "high"))
        assert f"{value:.1f} ({low:.1f} to {high:.1f})" in text


def test_on_real_video_segments_of_attention_are_ahead_of_random_ones_by_more_than_chance():
    found = rows("tsrnet_joined.csv", table="detection_pairs", first="srnet", second="random")
    (pair,) = [row for row in found if row["figure"] == "mAP@0.5, activitynet"]
    assert float(pair["low"]) > 0


def test_distillation_is_ahead_within_chance_on_weizmann_and_behind_its_control_on_ucf101():
    def pair(name, first, second):
        (found,) = rows(f"attention_distillation_{name}.csv", table="pairs", first=first, second=second)
        return tuple(float(found[key]) for key in ("low", "value", "high"))

    for second in ("rgb", "attention", "shuffled"):
        low, value, _ = pair("weizmann", "distilled", second)
        assert low <= 0 < value
    assert pair("weizmann", "shuffled", "attention")[1] < 0
    low, _, high = pair("ucf101_5", "distilled", "attention")
    assert low < 0 < high
    assert pair("ucf101_5", "distilled", "shuffled")[2] < 0 < pair("ucf101_5", "shuffled", "attention")[0]
    text = (RESULTS / "attention_distillation.md").read_text()
    for name in ("weizmann", "ucf101_5"):
        for row in rows(f"attention_distillation_{name}.csv", table="methods", figure="top_1"):
            value, low, high = (100 * float(row[key]) for key in ("value", "low", "high"))
            assert f"| {value:.1f} ({low:.1f} to {high:.1f}) |" in text


def test_the_search_is_as_its_text_says():
    trials = rows("search.csv")
    ended = [100 * float(trial["validation_accuracy"]) for trial in rows("search.csv", status="finished")]
    assert (len(trials), len(ended), len(rows("search.csv", status="stopped"))) == (64, 19, 45)
    assert (round(min(ended), 1), round(max(ended), 1)) == (71.9, 79.7)
    text = (RESULTS / "search.md").read_text()
    assert "| in one go | 64 | 19 | 45 |" in text
    assert "(71.9 to 79.7 %)" in text


def test_no_fault_lost_or_doubled_anything():
    """At least 200 faults of every kind there is; the page is made of this table."""
    with (RESULTS / "faults.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["times"]) for row in rows) >= 200
    assert all(int(row["times"]) > 0 for row in rows)
    for harm in ("lost", "doubled", "wrong", "redone", "failed"):
        assert not any(int(row[harm]) for row in rows), harm
    page = (RESULTS / "faults.md").read_text()
    assert f"{sum(int(row['times']) for row in rows)} faults: 0 rows lost, 0 doubled" in page
    assert all(f"| {row['fault']} | {row['times']} | 0 | 0 | 0 | 0 | 0 |" in page for row in rows)


@pytest.mark.parametrize("method", ["CNN", "UnAtt"])
def test_adaptation_gains_more_than_chance_on_clips_of_photographed_sports(method):
    low, value, _ = difference("sports.csv", f"adapted+{method}", method, "adapted")
    assert value > 0.09
    assert low > 0
    _, value, high = difference("sports_lite0.csv", f"adapted+{method}", method, "adapted")
    assert value < high < 0  # the page says so
