"""Faults on demand: an ASGI layer that cuts, refuses or delays the requests it is told to."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """What goes wrong.

    Args:
        kind: ``"cut"`` (the connection breaks before anything is done), ``"cut_after"`` (it is done, the
            answer is lost), ``"status"`` or ``"slow"``.
        at: the number of the first request it concerns, from 1, counted since the fault was set.
        times: how many requests it concerns; None: that one and all later ones, which are cut.
        status: of ``"status"``, such as 500, 409 or 412.
        path: only requests whose method and path hold this count.
        seconds: of ``"slow"``.
    """

    kind: str
    at: int = 1
    times: int | None = 1
    status: int = 500
    path: str = ""
    seconds: float = 0.0


class Faults:
    """Wraps an application; also keeps a list of the requests that came."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.requests: list[str] = []
        self._fault: Fault | None = None
        self._seen = 0
        self._lock = threading.Lock()

    def set(self, fault: Fault | None) -> None:
        """Set or lift the fault and count anew."""
        with self._lock:
            self._fault, self._seen, self.requests = fault, 0, []

    def _next(self, scope: dict[str, Any]) -> Fault | None:
        with self._lock:
            self.requests.append(f"{scope['method']} {scope['path']}")
            fault = self._fault
            if fault is None or fault.path not in self.requests[-1]:
                return None
            self._seen += 1
            if self._seen < fault.at:
                return None
            if fault.times is None and self._seen > fault.at:
                return Fault("cut")  # the Hub is gone
            if fault.times is not None and self._seen >= fault.at + fault.times:
                return None
            return fault

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one request, or not."""
        fault = self._next(scope) if scope["type"] == "http" else None
        if fault is None:
            await self.app(scope, receive, send)
        elif fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
            await self.app(scope, receive, send)
        elif fault.kind == "status":
            body = b'{"error": "on demand", "url": ""}'
            head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await _drain(receive)
            await send({"type": "http.response.start", "status": fault.status, "headers": head})
            await send({"type": "http.response.body", "body": body})
        else:
            if fault.kind == "cut_after":
                await self.app(scope, receive, _discard)
            # uvicorn's own end of the connection: nothing at all reaches the client.
            send.__self__.transport.abort()


async def _discard(message: dict[str, Any]) -> None:
    return None


async def _drain(receive: Any) -> None:
    while (await receive()).get("more_body"):
        pass
