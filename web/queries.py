"""What stands behind the question mark: a parameter that nobody knows is a mistake, and no wish for everything."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from web.problems import Problem

__all__ = ["refuse_unknown"]


async def refuse_unknown(request: Request) -> None:
    """Raises Problem for a parameter that the route does not take, or that it takes once and is given twice."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    known = _taken(route)
    broken = {
        name: _unknown(name, known) if name not in known else "it is given more than once"
        for name in request.query_params
        if name not in known or (not known[name] and len(request.query_params.getlist(name)) > 1)
    }
    if broken:
        errors = [{"field": name[:100], "rule": rule} for name, rule in broken.items()]
        raise Problem(422, "; ".join(f"{each['field']}: {each['rule']}" for each in errors), errors=errors)


def _taken(route: APIRoute) -> Mapping[str, bool]:
    """The route's parameters, each with whether it may be given many times."""
    return {
        field.alias: _is_list(field.field_info.annotation)
        for dependant in _with_those_below(route.dependant)
        for field in dependant.query_params
    }


def _with_those_below(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for below in dependant.dependencies:
        yield from _with_those_below(below)


def _is_list(annotation: Any) -> bool:
    return any(get_origin(each) is list for each in (annotation, *get_args(annotation)))


def _unknown(name: str, known: Mapping[str, bool]) -> str:
    near = difflib.get_close_matches(name[:100], known, n=1)
    taken = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
    return f"there is no such parameter: {f'did you mean {near[0]}? ' if near else ''}{taken}"
