"""Signing in: a key is shown once, and the browser has a session from then on."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from db import keys
from web.access import Database, check_own_page, cookie_of, seen_address
from web.pages.rendering import render
from web.problems import Problem

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

LONGEST_KEY = 200
LONGEST_ADDRESS = 4000
OPEN = (
    "signing in needs TLS: whoever listens on the way would have the session. Put a proxy with TLS before "
    "docmill, and name it in DOCMILL_TRUSTED_PROXIES"
)

Wanted = Annotated[str, Query(alias="next", max_length=LONGEST_ADDRESS)]


@router.get("/sign-in")
def show(request: Request, wanted: Wanted = "/") -> Response:
    """A form for a key."""
    return _form(request, wanted)


@router.post("/sign-in")
def sign_in(
    request: Request,
    database: Database,
    key: Annotated[str, Form(max_length=LONGEST_KEY)],
    wanted: Annotated[str, Form(alias="next", max_length=LONGEST_ADDRESS)] = "/",
) -> Response:
    """Goes on to the page that was wanted, with a session."""
    check_own_page(request)
    address = seen_address(request)
    if not address.is_secret:
        raise Problem(403, OPEN)
    token = database.run(keys.open_session, key.strip())
    if token is None:
        return _form(request, wanted, detail="the key is not valid, or was revoked", status=401)
    answer = RedirectResponse(_here(wanted), status_code=303)
    answer.set_cookie(
        cookie_of(address),
        token,
        max_age=int(keys.SESSION_S),
        path="/",
        secure=address.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/sign-out")
def sign_out(request: Request, database: Database) -> Response:
    """Ends the browser's session."""
    check_own_page(request)
    cookie = cookie_of(seen_address(request))
    database.run(keys.close_session, request.cookies.get(cookie, ""))
    answer = RedirectResponse("/sign-in", status_code=303)
    answer.delete_cookie(cookie, path="/", secure=cookie.startswith("__Host-"), httponly=True, samesite="strict")
    return answer


def _form(request: Request, wanted: str, *, detail: str = "", status: int = 200) -> Response:
    may = seen_address(request).is_secret
    content = {
        "detail": detail or ("" if may else OPEN),
        "wanted": _here(wanted),
        "may_sign_in": may,
        "again": False,
    }
    return render(request, "sign_in.html", {**content, "status": status}, status=status)


def _here(wanted: str) -> str:
    """The address, if it is one of a page of ours."""
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/"
    ours = wanted.startswith("/") and wanted[1:2] not in ("/", "\\") and not parts.netloc and wanted.isprintable()
    return wanted if ours else "/"
