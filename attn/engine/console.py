"""Keeps off the console a line of Ray's about actor pools that looks like an error."""

import functools
import os
import sys
import tempfile
from typing import Any

import ray

NOTICE = b"has constructor arguments in the object store"


class _Restarted:
    """Never started: no machine has what it asks for."""

    def __init__(self, _: Any):
        pass


@functools.cache
def silence_restart_notice() -> None:
    """Has Ray say once, unheard, that an actor that can be restarted has arguments in the object store.

    Ray says so once per process. It means that such an actor cannot be restarted once its arguments are lost; Ray Data
    keeps those of its pool as long as the pool lives. All else that is written meanwhile is written afterwards.

    Source: ray-project/ray#53727; `CoreWorker::CreateActor`.
    """
    actor: Any = ray.remote(num_cpus=0, resources={"attn_never": 1}, max_restarts=1)(_Restarted)
    sys.stderr.flush()
    console = os.dup(2)
    with tempfile.TemporaryFile() as heard:
        os.dup2(heard.fileno(), 2)
        try:
            handle = actor.remote(ray.put(None))
        finally:
            os.dup2(console, 2)
            os.close(console)
        heard.seek(0)
        others = [line for line in heard if NOTICE not in line]
    for line in others:
        os.write(2, line)
    ray.kill(handle)
