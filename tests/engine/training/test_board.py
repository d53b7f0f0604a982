from attn.engine.training.board import News, Pen, RemoteBoard


def test_the_first_worker_alone_writes_and_notes_are_rare(ray_local):
    board = RemoteBoard()
    assert board.read() == News()
    pen = Pen(board, rank=0)
    pen.note("one")
    pen.note("two")
    pen.pin(skipped={"a.jpg": "is no image"})
    Pen(board, rank=1).pin(note="from the second")
    assert board.read() == News(note="one", skipped={"a.jpg": "is no image"})


def test_a_board_that_is_gone_gives_no_news(ray_local):
    board = RemoteBoard()
    ray_local.kill(board.actor)
    assert board.read() == News()
