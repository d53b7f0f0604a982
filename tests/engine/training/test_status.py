from attn.engine.training.status import RemoteStatus, Status, StatusWriter


def test_the_first_worker_alone_writes_and_notes_are_rare(ray_local):
    board = RemoteStatus()
    assert board.read() == Status()
    pen = StatusWriter(board, rank=0)
    pen.note("one")
    pen.note("two")
    pen.pin(skipped={"a.jpg": "is no image"})
    StatusWriter(board, rank=1).pin(note="from the second")
    assert board.read() == Status(note="one", skipped={"a.jpg": "is no image"})


def test_a_board_that_is_gone_gives_no_news(ray_local):
    board = RemoteStatus()
    ray_local.kill(board.actor)
    assert board.read() == Status()
