"""A small server with OpenAI's chat endpoint over a model in its own process.

python tests/llm_server.py MODEL_FOLDER [--port 8000] [--name NAME]
"""

import argparse
import asyncio
import itertools
import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from conductor_gym.live.messages import CallError, ChatRequest, Client, Message
from conductor_gym.live.transformers_client import TransformersClient
from conductor_gym.types import Status
from conductor_gym.workers.endpoint import Endpoint

LONGEST_S = 600.0
ERRORS = {
    Status.OVERFLOW: (400, "invalid_request_error", "context_length_exceeded"),
    Status.TIMEOUT: (504, "timeout", None),
    Status.UNAVAILABLE: (503, "service_unavailable", None),
}


class UnknownModelError(Exception):
    """A request for a model that is not served here."""


class ChatServer:
    """Answers `/v1/models` and `/v1/chat/completions` for one model; no streaming, n = 1."""

    def __init__(self, client: Client, name: str) -> None:
        self.app = web.Application()
        self.app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/v1/models", self._models),
                web.post("/v1/chat/completions", self._chat),
            ]
        )
        self._client = client
        self._name = name
        self._samples = itertools.count()

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _models(self, _: web.Request) -> web.Response:
        model = {"id": self._name, "object": "model", "created": 0, "owned_by": "tests"}
        return web.json_response({"object": "list", "data": [model]})

    async def _chat(self, received: web.Request) -> web.Response:
        body: Any = None
        try:
            body = json.loads(await received.text())
            request = self._read(body)
        except UnknownModelError:
            detail = f"The model `{body.get('model')}` does not exist."
            return _error(404, detail, "invalid_request_error", "model_not_found")
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            return _error(400, f"not a chat request: {error}", "invalid_request_error", None)
        try:
            said = await self._client.send(request, LONGEST_S)
        except CallError as error:
            status, kind, code = ERRORS[error.status]
            return _error(status, error.detail, kind, code)
        full = said.tokens_out == request.max_tokens
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": said.text},
            "finish_reason": "length" if full else "stop",
        }
        tokens_in, tokens_out = said.tokens_in or 0, said.tokens_out or 0
        return web.json_response(
            {
                "id": f"chatcmpl-{request.key}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": self._name,
                "choices": [choice],
                "usage": {
                    "prompt_tokens": tokens_in,
                    "completion_tokens": tokens_out,
                    "total_tokens": tokens_in + tokens_out,
                },
            }
        )

    def _read(self, body: Any) -> ChatRequest:
        if body.get("model") != self._name:
            raise UnknownModelError
        if body.get("n", 1) != 1 or body.get("stream"):
            raise ValueError("only n = 1 without streaming")
        messages = tuple(Message(str(m["role"]), str(m["content"])) for m in body["messages"])
        most = int(body.get("max_completion_tokens") or body.get("max_tokens") or 256)
        if most < 1:
            raise ValueError(f"max_tokens = {most} must be at least 1")
        settings = {name: float(body.get(name, 1.0)) for name in ("temperature", "top_p")}
        luck = str(body.get("seed", f"sample {next(self._samples)}"))
        return ChatRequest("local", self._name, messages, most, settings, "", luck=luck)


def _error(status: int, message: str, kind: str, code: str | None) -> web.Response:
    said = {"message": message, "type": kind, "param": None, "code": code}
    return web.json_response({"error": said}, status=status)


@contextmanager
def serving(client: Client, name: str) -> Generator[str]:
    """Serve in a thread while the context lasts; gives the base URL, which ends in `/v1`."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(ChatServer(client, name).app)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner.addresses[0][1]

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def main() -> None:
    """Serve a model until interrupted; prints the address."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="folder in Hugging Face's form")
    parser.add_argument("--name", default="local", help="name of the model in requests")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    given = parser.parse_args()

    async def serve() -> None:
        client = TransformersClient(Endpoint(client="transformers", model=given.model))
        runner = web.AppRunner(ChatServer(client, given.name).app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", given.port).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            await client.close()

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
