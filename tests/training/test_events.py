import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.training.events import EventFile


@pytest.mark.parametrize("where", ["local", "s3"])
def test_the_numbers_of_a_run_can_be_read_by_tensorboard(where, request, tmp_path):
    url = str(tmp_path / "run") if where == "local" else join(request.getfixturevalue("s3"), "run")
    events = EventFile(url)
    for step in (5, 10, 15):
        events.add({"loss": 1 / step, "accuracy": None, "note": "text"}, step=step)
    path = Location.at(url)
    path.fs.get(path.path.rstrip("/") + "/", f"{tmp_path}/copy/", recursive=True)
    events.close()
    found = EventAccumulator(str(tmp_path / "copy")).Reload()
    assert found.Tags()["scalars"] == ["loss"]
    assert [(event.step, pytest.approx(1 / event.step)) for event in found.Scalars("loss")] == [
        (event.step, event.value) for event in found.Scalars("loss")
    ]
    assert [event.step for event in found.Scalars("loss")] == [5, 10, 15]
