"""An application with every kind of route, behaving and misbehaving, and what was done through it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.responses import StreamingResponse

from pitcrew.core.caller import Caller, Role
from pitcrew.entrypoints.servers.access import PUBLIC, Access, permit, reading, role
from pitcrew.entrypoints.servers.asking import caller_in, requires, tell_problems

ACCESS = Access(
    routes={
        "GET /healthz": PUBLIC,
        "GET /v1/policies": reading(Role.READER, Role.DRIVER),
        "POST /v1/permits": permit(Role.DRIVER),
        "POST /v1/approvals/{id}": role(Role.APPROVER),
        "POST /v1/stop": role(Role.OPERATOR),
        "GET /boom": PUBLIC,
        "GET /refuses": PUBLIC,
        "GET /hangs": PUBLIC,
        "GET /for-ever": PUBLIC,
        "GET /wrong-table": PUBLIC,
    }
)
SECRET = "the-key-is-under-the-mat"
Approver = Annotated[Caller, Depends(requires(Role.APPROVER))]


class World:
    """An application, and what was done through it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        tell_problems(self.app)
        self._read()
        self._change()
        self._misbehave()

    def _read(self) -> None:
        @self.app.api_route("/healthz", methods=["GET", "HEAD"])
        async def healthz() -> str:
            return "ok"

        @self.app.get("/v1/policies")
        async def policies(request: Request) -> str:
            return str(caller_in(request) or "somebody on this machine")

    def _change(self) -> None:
        @self.app.post("/v1/permits")
        async def permits(request: Request) -> int:
            self.done.append("permit")
            return len(await request.body())

        @self.app.post("/v1/approvals/{id}")
        async def approvals(id: str, caller: Approver, number: int = 0) -> str:
            self.done.append(f"{caller.name} approved {id}")
            return id

        @self.app.post("/v1/stop")
        async def stop() -> str:
            self.done.append("stop")
            return "stopped"

        @self.app.delete("/v1/stop")
        async def forgotten() -> str:
            self.done.append("went on")
            return "went on"

    def _misbehave(self) -> None:
        @self.app.get("/boom")
        async def boom() -> str:
            raise RuntimeError(SECRET)

        @self.app.get("/refuses")
        async def refuses() -> str:
            raise HTTPException(409, "decided already")

        @self.app.get("/hangs")
        async def hangs() -> str:
            await asyncio.Event().wait()
            return SECRET

        @self.app.get("/for-ever")
        async def for_ever() -> StreamingResponse:
            return StreamingResponse(_for_ever())

        @self.app.get("/wrong-table")
        async def wrong_table(caller: Approver) -> str:
            return caller.name


async def _for_ever() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65536
        await asyncio.sleep(0)
