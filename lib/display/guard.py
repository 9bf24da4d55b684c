"""What stands between a served page and requests that mean it ill."""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from lib.errors import InputError

MOST_AT_ONCE = 64  # requests


def guard(app: FastAPI, hosts: Sequence[str], page: str) -> None:
    """Let ``app`` answer requests to ``hosts`` alone ("*": to any), so many at once, let ``page``
    run no script but its own, and tell what was wrong with a request in one line."""
    policy = _policy(page)
    answering = 0  # requests

    @app.middleware("http")
    async def check(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        nonlocal answering
        # A page from elsewhere cannot ask by a name of its own that leads here.
        if "*" not in hosts and _host_of(request) not in hosts:
            return Response("another host's name", status_code=400)
        if answering >= MOST_AT_ONCE:
            wait = {"Retry-After": "1"}
            return JSONResponse({"detail": "busy, ask again"}, status_code=503, headers=wait)
        answering += 1
        try:
            response = await call_next(request)
        finally:
            answering -= 1
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.exception_handler(RequestValidationError)
    async def tell(_: Request, error: RequestValidationError) -> JSONResponse:
        """What is wrong, without all that was sent."""
        told = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
        return JSONResponse({"detail": told}, status_code=422)

    @app.exception_handler(InputError)
    async def tell_input(_: Request, error: InputError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=422)


def _host_of(request: Request) -> str | None:
    """The name or address that a request was sent to, without the port."""
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        return None


def _policy(page: str) -> str:
    """Scripts and styles of the page alone, and nothing from elsewhere."""

    def allowed(tag: str) -> str:
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        sums = (base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in found)
        return " ".join(f"'sha256-{one.decode()}'" for one in sums)

    return (
        "default-src 'none'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors 'none'; script-src {allowed('script')}; "
        f"style-src {allowed('style')}"
    )
