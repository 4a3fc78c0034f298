"""A small OpenAI-compatible server with faults, chosen by the first part of the path."""

import asyncio
import threading
import time
from collections import Counter
from email.utils import formatdate
from typing import Any, Self

from aiohttp import web

MODEL = "echo-1"
SECRET = "sk-very-secret-0123456789"


class FaultServer:
    """Runs in a thread of its own; every request is counted by its idempotency key.

    `url("busy")` fails for ever, `url("busy", times=2)` twice a call and then replies.

    Attributes:
        seen: Requests by idempotency key.
        most_at_once: Largest number of requests under way at the same time.
        latency_s: Seconds before a good reply.
        usage: Whether good replies state their tokens.
    """

    def __init__(self, latency_s: float = 0.0, usage: bool = True, port: int = 0) -> None:
        self.latency_s = latency_s
        self.usage = usage
        self.seen: Counter[str] = Counter()
        self.models_asked = 0
        self.most_at_once = 0
        self.down = False
        self._at_once = 0
        self._port = port
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def url(self, fault: str = "echo", times: int = 1_000_000) -> str:
        """Base URL of a fault."""
        return f"http://127.0.0.1:{self._port}/{fault}/{times}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10.0)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/{fault}/{times}/v1/chat/completions", self._chat)
        app.router.add_get("/{fault}/{times}/v1/models", self._models)
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port, backlog=2048)
        await site.start()
        self._port = runner.addresses[0][1]
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        self.models_asked += 1
        if request.match_info["fault"] == "locked":
            return _error(401, f"wrong key {request.headers.get('Authorization')}")
        return web.json_response({"data": [{"id": MODEL}, {"id": "other-2"}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        key = request.headers["Idempotency-Key"]
        self.seen[key] += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            fault, times = request.match_info["fault"], int(request.match_info["times"])
            if self.down:
                return _error(503, "down for maintenance")
            if fault == "echo" or self.seen[key] > times:
                await asyncio.sleep(self.latency_s)
                return web.json_response(self.reply(asked))
            return await self._spoil(fault, asked, request)
        finally:
            self._at_once -= 1

    def reply(self, asked: Any, **changes: Any) -> dict[str, Any]:
        """A good reply that echoes the last message."""
        text = asked["messages"][-1]["content"]
        body: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": asked["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }
            ],
        }
        if self.usage:
            body["usage"] = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return body | changes

    async def _spoil(self, fault: str, asked: Any, request: web.Request) -> web.StreamResponse:
        said = request.headers.get("Authorization", "")
        match fault:
            case "busy":
                return _error(429, "slow down")
            case "busy-seconds":
                return _error(429, "slow down", {"Retry-After": "0.3"})
            case "busy-date":
                return _error(
                    429, "slow down", {"Retry-After": formatdate(time.time() + 1, usegmt=True)}
                )
            case "busy-hour":
                return _error(429, "slow down", {"Retry-After": "3600"})
            case "no-money":
                return _error(429, "You exceeded your quota", code="insufficient_quota")
            case "500" | "502" | "503" | "504" | "529":
                return _error(int(fault), f"oops, {said}")
            case "hang":
                await asyncio.sleep(3600)
            case "drip":
                return await self._drip(request, asked)
            case "slower":  # every request takes longer than the one before
                await asyncio.sleep(0.05 * 2 ** self.seen.total())
                return web.json_response(self.reply(asked))
            case "cut":
                assert request.transport is not None
                request.transport.abort()
            case "cut-body":
                return await self._cut_body(request)
            case "garbage":
                return web.Response(body=b"\x00\xff<html>busy</html>", content_type="text/html")
            case "half-json":
                return web.Response(body=b'{"choices": [{"mess', content_type="application/json")
            case "no-choices":
                return web.json_response({"object": "chat.completion", "choices": []})
            case "no-content":
                return web.json_response(
                    self.reply(asked, choices=[{"message": {"content": None}}])
                )
            case "thought-too-long":
                choice = {"message": {"content": None}, "finish_reason": "length"}
                return web.json_response(self.reply(asked, choices=[choice]))
            case "empty":
                return web.json_response(self.reply(asked, choices=[{"message": {"content": ""}}]))
            case "surrogate":
                body = b'{"choices": [{"message": {"content": "a\\ud800b"}}]}'
                return web.Response(body=body, content_type="application/json")
            case "huge":
                return web.Response(body=b" " * (17 * 2**20), content_type="application/json")
            case "wrong-model":
                return web.json_response(self.reply(asked, model="cheaper-0"))
            case "error-in-200":
                return web.json_response({"error": {"message": "upstream broke"}})
            case "other-name":
                return web.json_response(self.reply(asked, model="house-name"))
            case "dated-name":
                return web.json_response(self.reply(asked, model=asked["model"] + "-2026-01-01"))
            case "filtered":
                choice = {"message": {"content": "no"}, "finish_reason": "content_filter"}
                return web.json_response(self.reply(asked, choices=[choice]))
            case "refusal":
                choice = {"message": {"content": None, "refusal": "I will not"}}
                return web.json_response(self.reply(asked, choices=[choice]))
            case "policy":
                return _error(
                    400, "flagged by our content management policy", code="content_filter"
                )
            case "too-long":
                return _error(400, "This model's maximum context length is 2048 tokens.")
            case "bad-field":
                return _error(400, f"temperature must be 1, {said}")
            case "locked":
                return _error(401, f"wrong key: {said}")
            case "unknown-model":
                return _error(404, f"model {asked['model']} does not exist")
            case "leak":
                choice = {"message": {"content": f"you sent {said}"}}
                return web.json_response(self.reply(asked, choices=[choice]))
            case "moved":
                return web.Response(status=301, headers={"Location": "http://127.0.0.1:1/"})
            case _:
                raise AssertionError(fault)
        return web.Response()

    async def _drip(self, request: web.Request, asked: Any) -> web.StreamResponse:
        """One byte at a time: no single read ever takes long."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    async def _cut_body(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"choices":')
        assert request.transport is not None
        request.transport.close()
        return response


def _error(
    status: int, message: str, headers: dict[str, str] | None = None, code: str | None = None
) -> web.Response:
    body = {"error": {"message": message, "type": "error", "code": code}}
    return web.json_response(body, status=status, headers=headers)
