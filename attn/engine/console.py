"""Suppression of a Ray notice about actor pools that looks like an error."""

import functools
import os
import sys
import tempfile
from typing import Any

import ray

NOTICE = b"has constructor arguments in the object store"


class _Restarted:
    """Actor that is never started, because no machine has the resource that it requests."""

    def __init__(self, _: Any):
        pass


@functools.cache
def silence_restart_notice() -> None:
    """Trigger Ray's notice about restartable actors with arguments in the object store while stderr is redirected.

    Ray prints the notice once per process: such an actor cannot be restarted after its arguments are lost. Ray Data
    keeps the arguments for the lifetime of its pool. All other output during the redirection is written afterwards.

    Source: ray-project/ray#53727; `CoreWorker::CreateActor`.
    """
    actor: Any = ray.remote(num_cpus=0, resources={"attn_never": 1}, max_restarts=1)(_Restarted)
    sys.stderr.flush()
    console = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            handle = actor.remote(ray.put(None))
        finally:
            os.dup2(console, 2)
            os.close(console)
        captured.seek(0)
        others = [line for line in captured if NOTICE not in line]
    for line in others:
        os.write(2, line)
    ray.kill(handle)
