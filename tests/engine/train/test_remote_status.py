from attn.engine.train.remote_status import RemoteStatus
from attn.training.status import Status, StatusWriter


def test_the_first_worker_alone_writes_and_notes_are_rare(ray_local):
    status = RemoteStatus()
    assert status.read() == Status()
    writer = StatusWriter(status, rank=0)
    writer.note("one")
    writer.note("two")
    writer.update(skipped={"a.jpg": "is no image"})
    StatusWriter(status, rank=1).update(note="from the second")
    assert status.read() == Status(note="one", skipped={"a.jpg": "is no image"})


def test_a_board_that_is_gone_gives_no_news(ray_local):
    status = RemoteStatus()
    ray_local.kill(status.actor)
    assert status.read() == Status()
