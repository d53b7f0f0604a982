"""Explore: serve a store to a browser on this machine."""

import importlib.util
import logging
import socket
import sys
from typing import TYPE_CHECKING

from attn.commands.explore.catalogue import read_catalogue
from attn.commands.explore.explore_models import open_methods
from attn.commands.explore.explore_options import ExploreOptions
from attn.commands.explore.explorer import Explorer
from attn.commands.explore.pictures import Pictures
from attn.commands.store_videos import videos_of
from attn.errors import UsageError
from attn.report.explore_page import Setting
from attn.schema import LOGITS, MAPS
from attn.stages.frame_values import value_name
from attn.storage.error_messages import shown
from attn.storage.filesystem import storage_errors
from attn.storage.store import AttentionStore

if TYPE_CHECKING:
    import uvicorn

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
SHUTDOWN_S = 2
PACKAGES = ("starlette", "uvicorn")


def explore(options: ExploreOptions) -> int:
    """Serve the store until Ctrl-C, and return the exit code.

    Raises:
        UsageError: the port is in use, or the store, a model or the videos cannot be used; nothing was served.
    """
    _check_installed()
    with listening_on(options.port) as listening:
        explorer, pictures, setting = open_explorer(options)
        server = make_server(explorer, pictures, setting)
        sys.stdout.write(f"http://{HOST}:{listening.getsockname()[1]}/ shows the store. Ctrl-C ends it.\n")
        sys.stdout.flush()
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            log.info("ended")
        finally:
            if pictures is not None:
                pictures.close()
    return 0


def make_server(explorer: Explorer, pictures: Pictures | None, setting: Setting) -> "uvicorn.Server":
    """Return the server of the page and its answers."""
    import uvicorn

    from attn.commands.explore.app import make_app

    return uvicorn.Server(
        uvicorn.Config(
            make_app(explorer, pictures, setting),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
    )


def listening_on(port: int) -> socket.socket:
    """Return a socket of this machine only, bound before any work.

    Raises:
        UsageError: the port is in use or cannot be used.
    """
    if not 0 <= port < 1 << 16:
        raise UsageError(f"--port {port}: not a port. Give 1 to 65535, or 0 for any free one.")
    # With the protocol named, asyncio sends small answers at once; else each waits 40 ms for an acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise UsageError(f"--port {port}: {error.strerror}. Give another, or 0 for any free one.") from error
    return listening


def open_explorer(options: ExploreOptions) -> tuple[Explorer, Pictures | None, Setting]:
    """Open store, models and videos, and read the list of videos.

    Returns:
        The explorer, the pictures of its frames if there are videos, and facts for the page.

    Raises:
        UsageError: one of them cannot be used.
    """
    with storage_errors(options.store):
        store = AttentionStore.open(options.store, allow_partial=options.allow_partial)
        methods, names = open_methods(options.models, store)
        catalogue = read_catalogue(store)
    pictures, why_not = None, ""
    try:
        pictures = Pictures(videos_of(store, options.videos), store.manifest)
    except UsageError as error:
        why_not = str(error)
        log.warning("maps are shown without frames: %s", why_not)
    log.info("%s: %d videos, %d classes, %s", shown(store.url), len(catalogue.places), len(names), ", ".join(methods))
    setting = Setting(
        title=shown(options.store).rstrip("/").rpartition("/")[2],
        class_names=names,
        methods={name: (value_name(scorer), scorer.definition) for name, scorer in methods.items()},
        predicts=next(iter(methods)) if LOGITS in store.manifest.columns else "",
        has_maps=MAPS in store.manifest.columns,
        why_no_frames=why_not,
    )
    return Explorer(store, catalogue, methods, names), pictures, setting


def _check_installed() -> None:
    """Check the optional packages, which other jobs do not need."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise UsageError(f"jobs/explore.py: {' and '.join(missing)} missing. Run pip install 'attn[explore]'.")
