"""How a job ends that is told to."""

import signal
import subprocess
import sys

import pytest

from attn.commands.cli import chosen, parse
from attn.commands.reproduction.reproduce_options import ReproduceOptions

ABORTS = """
import atexit, ctypes, sys
from attn.commands.cli import end
libc = ctypes.CDLL(None)
libc.on_exit(libc.abort, None)
atexit.register(print, "the libraries have ended")
{}(3)
"""


def test_a_library_that_aborts_at_the_end_does_not_change_the_exit_code():
    def run(way):
        return subprocess.run([sys.executable, "-c", ABORTS.format(way)], capture_output=True, text=True, check=False)

    assert run("sys.exit").returncode == -signal.SIGABRT
    done = run("end")
    assert done.returncode == 3
    assert done.stdout == "the libraries have ended\n"


JOB = """
import signal, sys, time
{}
from attn.commands.cli import run
def job(_):
    print("at work", flush=True)
    for _ in range(600):  # a signal just before one long sleep is heard only after it
        time.sleep(0.1)
sys.exit(run(job, None))
"""


@pytest.mark.parametrize(
    "before",
    [
        "",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])",  # as Ray hands it down
        "signal.signal(signal.SIGINT, signal.SIG_IGN)",  # as a shell does to what runs behind &
    ],
)
def test_sigterm_ends_a_job_as_ctrl_c_does(before):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", JOB.format(before)], text=True, **pipes) as process:
        assert process.stdout.readline() == "at work\n"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == "interrupted; run the same command to resume\n"


NAMES = """
import logging, sys
from attn.commands.cli import run
from attn.errors import UsageError
def job(_):
    logging.getLogger("attn.engine").warning("failed: %s", "a\\x1b[2J\\nb")
    raise UsageError("c\\x07 d")
sys.exit(run(job, None))
"""


def test_names_of_files_neither_begin_lines_nor_command_a_terminal():
    done = subprocess.run([sys.executable, "-c", NAMES], capture_output=True, text=True, check=False)
    warning, error = done.stderr.splitlines()
    assert warning.endswith(r"failed: a\x1b[2J\nb")
    assert error == r"error: c\x07 d"


SAYS = """
import logging, sys
from attn.commands.cli import parse, run
from attn.commands.pack_options import PackOptions
from attn.engine import terminal
sys.stderr.isatty = lambda: True
def job(_):
    logging.getLogger("attn.engine").info("ours")
    logging.getLogger("attn.engine").warning("our warning")
    logging.getLogger("library").info("theirs")
    logging.getLogger("library").warning("their warning")
    terminal.say("at work")
    return 0
sys.exit(run(job, parse(PackOptions, None, ["--videos", "a", "--out", "b", *sys.argv[1:]])))
"""


LAST = "b; next: python jobs/precompute.py --videos b --weights CNN --out STORE"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], ["loading libraries", "ours", "our warning", "their warning", "at work", LAST]),
        (["--quiet"], ["our warning", "their warning"]),
        (["--verbose"], ["loading libraries", "ours", "our warning", "theirs", "their warning", "at work", LAST]),
    ],
)
def test_every_script_can_be_quiet_or_verbose(flags, said):
    done = subprocess.run([sys.executable, "-c", SAYS, *flags], capture_output=True, text=True, check=False)
    assert [line.split(" ", 1)[1] for line in done.stderr.splitlines()] == said


def test_quiet_and_verbose_contradict_each_other():
    done = subprocess.run(
        [sys.executable, "-c", SAYS, "--quiet", "--verbose"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "error: --quiet: contradicts --verbose. Give one of them.\n")


def test_a_pipe_that_closes_before_the_help_ends_is_no_error():
    script = "import sys; from attn.commands.cli import parse; from attn.commands.pack_options import PackOptions; "
    command = [sys.executable, "-c", script + "parse(PackOptions, None, ['--help'])"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, "")


def test_the_flags_of_a_script_depend_on_one_of_them():
    first, second = type("First", (), {}), type("Second", (), {})
    types = {"one": first, "two": second}
    assert chosen("--paper", types, []) is first
    assert chosen("--paper", types, ["--paper", "three"]) is first
    for argv in (["--paper", "two"], ["--out", "x", "--paper=two"], ["--", "--paper", "two"]):
        assert chosen("--paper", types, argv) is second


@pytest.mark.parametrize(("flag", "wanted"), [("--no-image-free", False), ("--no-no-image", False), (None, True)])
def test_the_earlier_spelling_of_a_flag_still_works(flag, wanted):
    given = ["--dataset", "synthetic", "--out", "x"]
    assert parse(ReproduceOptions, None, given if flag is None else [*given, flag]).image_free is wanted
