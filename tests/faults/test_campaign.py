"""Fault campaign: errors of one kind of fault do not affect the others, and damage is counted correctly."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from . import campaign, report
from .left import Left
from .material import Material
from .scenarios_training import EVERY, Training, made_anew, told_again
from .store_run import CannotBeMadeHereError

Scenario = Callable[..., Left]
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


def ends(**harm: object) -> Scenario:
    """Return a scenario that checks that its folder is empty, and reports the given damage."""

    def scenario(material: Material, folder: Path, *, seed: int, times: int) -> Left:
        (folder / "mine").mkdir()
        nothing = {"faults": times, "lost": 0, "doubled": 0, "wrong": 0, "redone": 0, "recovery_s": [1.0], "runs": 1}
        return Left(**{**nothing, **harm})

    return scenario


def raises(error: Exception) -> Scenario:
    def scenario(material: Material, folder: Path, *, seed: int, times: int) -> Left:
        (folder / "mine").mkdir()
        raise error

    return scenario


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[dict[str, str]]]]:
    """Function broken({name: scenario}, *flags) that runs the campaign and returns its exit code and its table."""

    def run(scenarios: dict[str, Scenario], *flags: str) -> tuple[int, list[dict[str, str]]]:
        monkeypatch.setattr(campaign, "SCENARIOS", scenarios)
        monkeypatch.setattr(campaign, "CLIPS", 1)
        monkeypatch.setattr(sys, "argv", ["campaign", "--out", str(tmp_path), *flags])
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        code = campaign.main()
        with (tmp_path / "faults.csv").open(newline="") as file:
            return code, list(csv.DictReader(file))

    return run


def test_errors_of_one_kind_leave_the_others_alone(broken, capsys: pytest.CaptureFixture[str]) -> None:
    scenarios = {
        "one": ends(),
        "two": raises(CannotBeMadeHereError("no mounts")),
        "three": raises(AssertionError("some\nlog")),
        "four": ends(),
    }
    code, rows = broken(scenarios)
    assert (code, [row["fault"] for row in rows]) == (1, ["one", "four"])
    said = capsys.readouterr().out
    assert "two: no mounts\n" in said
    assert "three: AssertionError: some log; kept in " in said
    assert "ended in an error: three\n" in said


def test_what_cannot_be_made_here_is_no_error(broken) -> None:
    code, rows = broken({"one": raises(CannotBeMadeHereError("no mounts")), "two": ends()})
    assert (code, len(rows)) == (0, 1)


@pytest.mark.parametrize("harm", [{"lost": 1}, {"redone": 1}, {"failed": 1}, {"unfinished": ("no summary",)}])
def test_any_harm_is_one_of_the_campaign(harm: dict[str, object], broken) -> None:
    code, rows = broken({"one": ends(**harm)})
    assert (code, rows[0][next(iter(harm))]) == (1, "1")


def test_a_table_of_an_earlier_harness(broken, tmp_path: Path) -> None:
    """An older table is shown with empty cells for missing columns, but its faults are not skipped by --resume."""
    with (RESULTS / "faults.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    name, fields = rows[0]["fault"], [field for field in rows[0] if field != "unfinished"]
    with (tmp_path / "faults.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, fields, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    with (tmp_path / "faults.csv").open(newline="") as file:
        shown = "\n".join(report._faults(list(csv.DictReader(file))))
    assert f"| {name} | {rows[0]['times']} | 0 | 0 | 0 | 0 | 0 |  | {rows[0]['runs']} |" in shown
    assert broken({name: ends(faults=3)}, "--resume")[1][0]["times"] == "3"
    assert broken({name: ends(faults=4)}, "--resume")[1][0]["times"] == "3"


@pytest.mark.parametrize(
    ("log", "again"),
    [
        (["update 100", "update 200", "resuming 200", "update 300"], 0),
        (["update 100", "update 200", "resuming 100", "update 200"], 0),
        (["update 100", "resuming 200", "update 200", "update 300"], 0),
        (["update 100", "update 200", "resuming 200", "update 200"], 1),
        (["update 100", "update 100"], 1),
        (["update 100", "resuming 0", "update 100", "update 100"], 1),
    ],
    ids=["goes on", "made again", "told late", "behind the state", "without a death", "twice after one"],
)
def test_looks_told_again(log: list[str], again: int) -> None:
    words = {"update": "update {}/6000: loss 0.1", "resuming": "workers were lost; resuming after update {} of 6000"}
    lines = [words[what].format(number) for what, number in (line.split() for line in log)]
    assert told_again("\n".join(lines)) == again


def test_looks_made_anew_count_for_each_fault() -> None:
    assert made_anew([5, 9], [5, 10]) == 0
    assert made_anew([5, 9], [3, 11]) == 2


def test_a_damaged_state_excuses_one_look(tmp_path: Path) -> None:
    training = Training(tmp_path, tmp_path / "out")
    folder = tmp_path / "out" / "energynet.train"
    for look in (6, 7, 8):
        (folder / "run" / "states" / f"state-{look * EVERY:09}-abcd").mkdir(parents=True)
    for state in sorted(folder.glob("run/states/*"))[:2]:  # the newest checkpoint is incomplete
        (state / "sums.json").touch()
    (folder / "metrics.jsonl").write_text("".join(f'{{"update": {look * EVERY}}}\n' for look in range(1, 8)))
    training.note()
    assert training.kept == [7]
    training.note_damage()
    assert training.kept == [6]
