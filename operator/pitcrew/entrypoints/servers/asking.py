"""How routes ask who calls, and how they say that something went wrong."""

from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pitcrew.adapters.problem import Problem
from pitcrew.core.caller import Caller, Role
from pitcrew.core.untrusted import clean
from pitcrew.entrypoints.servers.access import CALLER

_DETAIL_BYTES_MAX = 1000


def caller_in(request: Request) -> Caller | None:
    """Who sent a request, by their token; None where the table lets those pass who showed none."""
    found = request.scope.get(CALLER)
    return found if isinstance(found, Caller) else None


def requires(*roles: Role) -> Callable[[Request], Caller]:
    """For routes that need the caller: `caller: Annotated[Caller, Depends(requires(Role.APPROVER))]`, or called with
    the request. The table has refused everybody else already; this one holds when the table is wrong."""

    def caller(request: Request) -> Caller:
        found = caller_in(request)
        if found is None:
            raise HTTPException(401, f"send a bearer token that has the role {' or '.join(sorted(roles))}")
        if not found.roles & frozenset(roles):
            raise HTTPException(403, f"{found.name} lacks the role {' or '.join(sorted(roles))}")
        return found

    return caller


def tell_problems(app: FastAPI) -> None:
    """Have every error that the application answers by itself told as problem details, like those of the middleware."""

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _answer(error.status_code, str(error.detail), dict(error.headers or {}))

    def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        told = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
        return _answer(422, "; ".join(told), {})

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, malformed)


def _answer(status: int, detail: str, headers: dict[str, str]) -> Response:
    problem = Problem(status=HTTPStatus(status), detail=clean(detail, _DETAIL_BYTES_MAX), headers=headers)
    made = Response(problem.body, status_code=status)
    made.raw_headers = problem.fields
    return made
