"""The live page's server: Starlette and uvicorn, on this machine only, read-only.

Decisions:
- It listens on 127.0.0.1, and accepts only requests whose Host names this machine: a page from elsewhere whose name is
  made to point here (DNS rebinding) is refused. Any port is accepted, since a tunnel (ssh -L) has its own on the
  browser's machine. Only GET and HEAD are allowed.
- Every response has a strict content security policy, is never cached, and sends no referrer to other sites.
- The page requests /state.json every two seconds and refreshes itself when its ETag has changed, as after any change.
- uvicorn's loop and parser are named explicitly, so that it does not matter what else is installed.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kws.errors import KwsError, PageError, UnknownRunError
from kws.registry.location import Location
from kws.reports.page import html
from kws.reports.page.live import Live

MOST_RUNS = 100  # in one request
_THIS_MACHINE = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_HEADERS = {
    "Content-Security-Policy": html.LIVE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket that listens on 127.0.0.1 at a port, or at a free one for 0.

    Raises PageError if the port cannot be used.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(64)
        except OSError as error:
            raise PageError(
                f"port {port} cannot be used ({error.strerror}); choose another with --port, or --port 0 for a free one"
            ) from None
        yield listener
    finally:
        listener.close()


def address(listener: socket.socket) -> str:
    """The URL of the page for a browser."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def serve(path: Location, listener: socket.socket) -> None:
    """Serve the registry's page until a signal ends it."""
    server(Live(path)).run(sockets=[listener])


def server(live: Live) -> uvicorn.Server:
    """The server of a registry's page, not yet running."""
    config = uvicorn.Config(
        application(live),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def application(live: Live) -> ASGIApp:
    """The ASGI application of a registry's page."""

    def state(request: Request) -> Response:
        current, overview = live.now()
        headers = {"ETag": f'"{current}"'}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        running = len(overview.running)
        return JSONResponse({"state": current, "runs": overview.total, "running": running}, headers=headers)

    def overview(request: Request) -> Response:
        return HTMLResponse(live.page(request.query_params.get("show", ""), _start(request)))

    def run(request: Request) -> Response:
        return HTMLResponse(live.run_page(request.query_params.get("id", "")))

    def curves(request: Request) -> Response:
        return JSONResponse(live.curves(_asked(request)))

    def confusions(request: Request) -> Response:
        return JSONResponse(live.confusions(_asked(request)))

    def pooled(request: Request) -> Response:
        return JSONResponse(live.pooled(*(request.query_params.get(name, "") for name in ("group", "label"))))

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in html.STATIC:
            return PlainTextResponse(f"there is no {name!r} here", 404)
        return Response(html.static(name), media_type=html.STATIC[name])

    routes = {
        "/": overview,
        "/run": run,
        "/state.json": state,
        "/curves.json": curves,
        "/confusions.json": confusions,
        "/pooled.json": pooled,
        "/static/{name}": static,
    }
    made = Starlette(
        routes=[Route(where, endpoint, methods=["GET"]) for where, endpoint in routes.items()],
        exception_handlers={KwsError: _refusal},
    )
    return _Guard(made)


def _start(request: Request) -> int:
    """From which run on the list is asked for.

    Raises PageError if that is not a number.
    """
    text = request.query_params.get("from", "0")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise PageError(f"from={text} is no place in the list of runs; the newest run is at 0")
    return int(text)


def _asked(request: Request) -> list[str]:
    """The runs that a request names.

    Raises PageError if there are too many.
    """
    ids = request.query_params.getlist("run")
    if len(ids) > MOST_RUNS:
        raise PageError(f"{len(ids)} runs are asked for at once; ask for {MOST_RUNS} at most")
    return ids


def _refusal(request: Request, error: Exception) -> Response:
    """The response to a KwsError: its message, with a matching status code."""
    code = 404 if isinstance(error, UnknownRunError) else 400 if isinstance(error, PageError) else 503
    if request.url.path.endswith(".json"):
        return JSONResponse({"error": str(error)}, code)
    return PlainTextResponse(str(error), code)


class _Guard:
    """Refuses requests that do not name this machine or are not read-only; adds our headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *ours]}
            await send(message)

        if scope["type"] != "http":
            return
        refused = self._refused(scope)
        await (refused or self._app)(scope, receive, with_headers)

    def _refused(self, scope: Scope) -> Response | None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not _THIS_MACHINE.fullmatch(hosts[0]):
            return PlainTextResponse(
                "this page is for this machine only; open it as http://localhost and the port that kws ui printed, "
                "or that a tunnel to it has",
                403,
            )
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("this page only reads", 405, headers={"Allow": "GET, HEAD"})
        return None
