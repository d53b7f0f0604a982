"""`report` on a search, from the records of its trials."""

import json

from attn.commands.report import report
from attn.commands.report_options import ReportOptions
from attn.training.trial_records import Trial, write_trial
from tests.report.pages import section, table_of

BEST = {"trials": 9, "stopped_early": 1, "held_out_videos": 40, "validation_accuracy": 0.8, "standard_error": 0.07}
IMPORTANCE = {"importance": {"shares": {"lr": 0.8, "embedding_dim": 0.2}, "updates": 200}}


def write_search(folder, *, best):
    for number in range(1, 10):
        point = {"lr": 0.001 * number, "embedding_dim": 8 * number}
        rows = [{"update": at, "kept_accuracy": 0.05 * number, "seconds": 1.0} for at in (100, 200)]
        status = "stopped" if number == 9 else "running" if number == 8 else "finished"
        write_trial(str(folder), Trial(number, point, point, status, 0.05 * number, 0.1, rows, 3.0))
    (folder / "search.json").write_text(json.dumps({"decisive": {"space": {}}}))
    if best:
        (folder / "best.json").write_text(json.dumps(best))


def found(folder, out):
    assert report(ReportOptions(runs=(str(folder),), out=str(out))) == 0
    return out.read_text()


def test_a_search_shows_its_trials_best_first_and_its_plots(tmp_path):
    write_search(tmp_path, best={**BEST, **IMPORTANCE})
    html = found(tmp_path, tmp_path / "page.html")
    assert table_of(section(html, "runs"))[1][1] == "finished search of 9 trials"
    rows = table_of(section(html, "search"))
    assert rows[0] == ["trial", "validation, %", "end", "updates", "seconds", "lr", "embedding_dim"]
    assert [row[0] for row in rows[1:]] == ["7", "6", "5", "4", "3", "2", "1", "9"]
    assert rows[1][1:] == ["35.0", "finished", "200", "3", "0.007", "56"]
    titles = [chart.attributes["aria-label"] for chart in section(html, "search").all("svg")]
    assert titles == ["All trials", "Importance", "Accuracy"]
    assert "partly best by luck" in section(html, "search").one("p", class_="note").words


def test_an_unfinished_search_shows_the_trials_that_are_over(tmp_path):
    write_search(tmp_path, best=None)
    html = found(tmp_path, tmp_path / "page.html")
    assert table_of(section(html, "runs"))[1][1] == "unfinished search of 9 trials"
    assert [chart.attributes["aria-label"] for chart in section(html, "search").all("svg")] == [
        "All trials",
        "Accuracy",
    ]
