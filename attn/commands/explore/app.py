"""Web application of the explorer: the page, and answers as JSON and JPEG.

It only reads. Videos and classes are looked up in the store's own lists, so no address reaches another file; other web
sites cannot ask, because no answer permits them and other host names are refused.
"""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from attn.commands.explore.catalogue import ORDERS, Query
from attn.commands.explore.explorer import Answer, Explorer, UnknownError
from attn.commands.explore.pictures import OvertakenError, Pictures
from attn.errors import UsageError, VideoError
from attn.report.explore_page import Setting, page_files

HOSTS = ["127.0.0.1", "localhost"]
MOST_CLASSES = 6
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def make_app(explorer: Explorer, pictures: Pictures | None, setting: Setting) -> Starlette:
    """Return the application.

    Args:
        explorer: explorer of the store.
        pictures: pictures of its frames; None if its videos cannot be reached.
        setting: facts for the page.
    """

    def videos(request: Request) -> Answer:
        asked = request.query_params
        order = next((one for one in ORDERS if one == asked.get("order", ORDERS[0])), None)
        if order is None:
            raise ValueError("order")
        predicted, labelled = (int(asked[name]) if asked.get(name) else None for name in ("predicted", "labelled"))
        query = Query(tuple(asked.get("q", "").split()), predicted, labelled, bool(asked.get("wrong")), order)
        return explorer.list(query, max(0, int(asked.get("start", 0))))

    def video(request: Request) -> Answer:
        return explorer.video(request.query_params["video"])

    def frame(request: Request) -> Answer:
        return explorer.frame(request.query_params["video"], int(request.query_params["position"]), _classes(request))

    def curves(request: Request) -> Answer:
        return explorer.curves(request.query_params["video"], _classes(request))

    def picture(request: Request) -> Response:
        if pictures is None:
            raise UnknownError("the videos are not there.")
        video_id = request.query_params["video"]
        index = explorer.frame_index(video_id, int(request.query_params["position"]))
        headers = {**HEADERS, "Cache-Control": "private, max-age=3600"}
        return Response(pictures.get(video_id, index), media_type="image/jpeg", headers=headers)

    answers = {"videos": videos, "video": video, "frame": frame, "curves": curves, "picture": picture}
    routes = [Route(f"/api/{name}", _answering(answer), methods=["GET"]) for name, answer in answers.items()]
    for path, (text, kind) in page_files(setting).items():
        routes.append(Route(path, _file(text, kind), methods=["GET"]))
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)])


def _classes(request: Request) -> list[int]:
    return list(dict.fromkeys(map(int, request.query_params.getlist("class"))))[:MOST_CLASSES]


def _file(text: str, kind: str) -> Callable[[Request], Response]:
    return lambda _: Response(text, media_type=kind, headers=HEADERS)


def _answering(answer: Callable[[Request], Answer | Response]) -> Callable[[Request], Response]:
    """Endpoint in a thread of its own; errors become one line of JSON."""

    def endpoint(request: Request) -> Response:
        try:
            found = answer(request)
        except OvertakenError:
            return _refusal(409, "a later request came before this answer.")
        except (UnknownError, VideoError) as error:
            return _refusal(404, str(error))
        except (KeyError, ValueError) as error:
            return _refusal(400, f"the address is not complete ({error}).")
        except UsageError as error:
            return _refusal(500, str(error))
        return found if isinstance(found, Response) else JSONResponse(found, headers=HEADERS)

    return endpoint


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": " ".join(message.split())}, status_code=status, headers=HEADERS)
