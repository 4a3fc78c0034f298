"""Calls to any server with an OpenAI-compatible chat endpoint, such as vLLM or Ollama."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from conductor_gym.errors import ConfigError
from conductor_gym.live.messages import CallError, ChatRequest, Completion
from conductor_gym.live.openai_replies import failure, model_names, read_completion, short
from conductor_gym.types import Status
from conductor_gym.workers.endpoint import Endpoint

LARGEST_BODY = 16 * 2**20
"""Bytes of a reply that are read at most."""
_PREFLIGHT_S = 20.0
_KEEP_ALIVE_S = 60.0


class _Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class OpenAIClient:
    """One worker behind HTTP, over aiohttp: it costs the least processor time a call.

    For one event loop. Where the environment names a proxy (``HTTPS_PROXY``, ``NO_PROXY``), it is
    used.
    """

    def __init__(self, worker: str, endpoint: Endpoint, key: str | None = None) -> None:
        """Prepare; nothing is sent.

        Args:
            worker: The worker's uid, for messages.
            endpoint: Where it answers.
            key: API key; None: none is sent.

        Raises:
            ConfigError: A `base_url` that cannot be one.
        """
        self._worker = worker
        self._endpoint = endpoint
        self._key = key
        self._base = checked_url(worker, endpoint.base_url or "")
        self._proxy = _proxy(self._base)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: ChatRequest, timeout_s: float) -> Completion:
        """See `Client.send`."""
        asked = {
            "model": request.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "max_tokens": request.max_tokens,
            **request.settings,
        }
        # A server that honours the header never bills the same call twice.
        headers = {"Content-Type": "application/json", "Idempotency-Key": request.key}
        data = json.dumps(asked).encode()
        reply = await self._exchange("POST", "/chat/completions", timeout_s, headers, data)
        if reply.status == 200:
            return read_completion(reply.body, request.model, self._endpoint.answers_as)
        if reply.status == 404:
            raise ConfigError(await self._explain_missing(request.model, reply.body))
        where = f"worker {self._worker!r} at {self._base}"
        raise failure(where, self._endpoint, reply.status, reply.headers, reply.body)

    async def preflight(self) -> None:
        """Ask the server which models it has.

        Raises:
            ConfigError: It cannot be reached, refuses the key or does not have the model.
        """
        where = f"worker {self._worker!r} at {self._base}"
        try:
            reply = await self._exchange("GET", "/models", _PREFLIGHT_S)
            if reply.status != 200 and reply.status != 404:
                raise failure(where, self._endpoint, reply.status, reply.headers, reply.body)
        except CallError as error:
            raise ConfigError(
                f"{where} does not answer: {error.detail}. Is the server running, and is base_url "
                "right?"
            ) from None
        known = model_names(reply.body) if reply.status == 200 else ()
        # Not every server lists its models, and some list only a part under other names.
        if known and self._endpoint.model not in known:
            raise ConfigError(self._unknown_model(self._endpoint.model, known))

    async def close(self) -> None:
        """See `Client.close`."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(
        self,
        method: str,
        path: str,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> _Reply:
        if self._session is None:
            self._session = self._new_session()
        try:
            async with self._session.request(
                method,
                self._base + path,
                headers=headers,
                data=data,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > LARGEST_BODY:
                        raise CallError(
                            Status.MALFORMED, f"a reply of more than {LARGEST_BODY} bytes"
                        )
                return _Reply(response.status, response.headers, self._masked(bytes(body)))
        except TimeoutError:
            raise CallError(Status.TIMEOUT, f"no reply within {timeout_s:.3g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            detail = short(f"{type(error).__name__}: {error}")
            raise CallError(Status.UNAVAILABLE, detail, retry=True) from None

    def _new_session(self) -> aiohttp.ClientSession:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return aiohttp.ClientSession(
            # How many calls there are at once is for the limits to say.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
        )

    def _masked(self, body: bytes) -> bytes:
        """What the other side said, without the key if it repeats it."""
        return body.replace(self._key.encode(), b"***") if self._key else body

    async def _explain_missing(self, model: str, body: bytes) -> str:
        """Why the server says 404."""
        try:
            reply = await self._exchange("GET", "/models", _PREFLIGHT_S)
            known = model_names(reply.body) if reply.status == 200 else ()
        except CallError:
            known = ()
        if known and model not in known:
            return self._unknown_model(model, known)
        return (
            f"worker {self._worker!r}: {self._base}/chat/completions does not exist or does not "
            f"know {model!r}: {short(body)}. Usually base_url ends in /v1."
        )

    def _unknown_model(self, model: str, known: tuple[str, ...]) -> str:
        near = get_close_matches(model, known, n=1, cutoff=0.4)
        listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
        return (
            f"worker {self._worker!r}: {self._base} has no model {model!r}. "
            + (f"Did you mean {near[0]!r}? " if near else "")
            + f"It offers {listed}. Correct `model` in the pool's file."
        )


def checked_url(worker: str, url: str) -> str:
    """A base URL without its last slash.

    Raises:
        ConfigError: No http(s) URL, or one that holds a password or a query.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ConfigError(_bad_url(worker, "cannot be read")) from None
    if parts.username or parts.password:
        raise ConfigError(_bad_url(worker, "holds a password: keys stand in api_key_env"))
    if parts.query or parts.fragment:
        raise ConfigError(_bad_url(worker, "must not hold a ? or #"))
    if not good:
        raise ConfigError(_bad_url(worker, f"({url!r}) has no http:// or https:// and host"))
    return url.rstrip("/")


def _bad_url(worker: str, problem: str) -> str:
    return f"worker {worker!r}: base_url {problem}. Write it like http://127.0.0.1:8000/v1."


def _proxy(base: str) -> str | None:
    parts = urlsplit(base)
    if proxy_bypass(parts.hostname or ""):
        return None
    proxy = getproxies().get(parts.scheme)
    return proxy if proxy and proxy.startswith("http") else None
