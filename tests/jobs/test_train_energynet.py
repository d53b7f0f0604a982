"""Exit codes of `jobs/train_energynet.py` and `jobs/reproduce.py`."""


def test_a_store_that_is_none_is_one_line_and_exit_code_2(run_job, tmp_path):
    result = run_job(
        "train_energynet.py", "--store", str(tmp_path), "--split", "list.txt", "--out", str(tmp_path / "o")
    )
    assert result.returncode == 2
    assert result.stderr == f"error: {tmp_path}: no attention store here (manifest.json is missing). Check the URL.\n"
    assert not (tmp_path / "o").exists()


def test_reproduce_says_what_it_needs(run_job, tmp_path):
    result = run_job("reproduce.py", "--dataset", "ucf101", "--out", str(tmp_path / "o"))
    assert result.returncode == 2
    assert result.stderr == "error: --dataset ucf101: --root is missing. Give the folder of the data set as --root.\n"
    assert not (tmp_path / "o").exists()
