"""A worker that is a model in this process."""

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from conductor_gym.errors import ConfigError, MissingExtraError, one_line
from conductor_gym.live.batching import Room, Size, fitting
from conductor_gym.live.messages import CallError, ChatRequest, Completion
from conductor_gym.types import Status
from conductor_gym.workers.endpoint import Endpoint

if TYPE_CHECKING:
    from conductor_gym.live.decoding import ChatModel, Decoder, Row

SETTINGS = frozenset({"temperature", "top_p"})


@dataclass(eq=False)
class _Waiting:
    """A request, who waits for it, and the tokens of its prompt once they are known."""

    request: ChatRequest
    future: Future[Completion]
    prompt: list[int] = field(default_factory=list[int])

    def fail(self, error: Exception) -> None:
        """Tell who waits, where somebody still does."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class TransformersClient:
    """Sends requests to a model in this process; see `Client`.

    One thread runs the model. Requests that arrive meanwhile join those that are being answered
    between two tokens, so a batch is never waited for: up to 256 at once on a GPU, 16 on a CPU.

    The reply is a function of the request: all draws come from a generator seeded by its key. One
    thing can still change it. Which other requests share its batch decides how sums are rounded, in
    bfloat16 a relative 0.004 of a logit, so where two tokens are nearly tied, the other one may be
    chosen, at temperature 0 too, and the rest of the reply follows it. Another device or version of
    torch does the same.

    Tokens are counted as the model sees them: `tokens_in` with the marks of its chat template,
    `tokens_out` with the mark that ends the reply.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Load the model, which takes seconds.

        Args:
            endpoint: `model` is a folder in Hugging Face's form or a name on its hub.

        Raises:
            ConfigError: No such model, not one for chat, or an `extra` that is not known here.
            MissingExtraError: torch or transformers is not installed.
        """
        unknown = sorted(endpoint.settings().keys() - SETTINGS)
        if unknown:
            raise ConfigError(
                f"client `transformers` does not know {', '.join(unknown)} in `extra`; it samples "
                f"by {' and '.join(sorted(SETTINGS))} alone. Remove it, or serve the model."
            )
        try:
            from conductor_gym.live.decoding import ChatModel, Decoder
        except ImportError:
            raise MissingExtraError("client `transformers`", "llm") from None
        model = ChatModel(endpoint.model)
        self._inbox: list[_Waiting] = []
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(
            target=self._serve, args=(model, Decoder), name=f"model {endpoint.model}", daemon=True
        )
        self._thread.start()

    async def send(self, request: ChatRequest, timeout_s: float) -> Completion:
        """See `Client.send`. Calls from several event loops are fine."""
        waiting = _Waiting(request, Future())
        with self._wake:
            if self._closed:
                raise CallError(Status.UNAVAILABLE, "the model was closed")
            self._inbox.append(waiting)
            self._wake.notify()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(waiting.future), timeout_s)
        except TimeoutError:
            raise CallError(Status.TIMEOUT, f"no reply within {timeout_s:g} s") from None

    async def close(self) -> None:
        """Stop the thread and free the model; who still waits gets status `UNAVAILABLE`."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    def _serve(self, model: "ChatModel", new_decoder: "type[Decoder]") -> None:
        """Answer requests until the client is closed; the only thread that touches the model."""
        room = model.room()
        queue: list[_Waiting] = []
        running: dict[Row, _Waiting] = {}
        decoder = new_decoder(model)
        while True:
            with self._wake:
                self._wake.wait_for(
                    lambda busy=bool(queue or running): busy or self._closed or self._inbox
                )
                arrived, self._inbox = self._inbox, []
            if self._closed:
                break
            queue.extend(waiting for waiting in arrived if _read(waiting, model))
            queue = [waiting for waiting in queue if not waiting.future.cancelled()]
            try:
                decoder.drop_done()
                new = _let_in(queue, decoder, room, model.window)
                if new:
                    running.update(new)
                    queue = [waiting for waiting in queue if waiting not in new.values()]
                    decoder.add(list(new))
                elif decoder.rows:
                    decoder.step()
            except Exception as error:
                decoder = new_decoder(model)
                hit = [running.pop(row) for row in list(running) if not row.done]
                if "out of memory" in str(error) and len(hit) > 1:
                    room = room.halved()
                    model.free_memory()
                    queue = hit + queue
                else:
                    for waiting in hit:
                        waiting.fail(CallError(Status.UNAVAILABLE, f"model: {one_line(error)}"))
            for row in [row for row in running if row.done]:
                _deliver(row, running.pop(row), model)
        for waiting in [*arrived, *queue, *running.values()]:
            waiting.fail(CallError(Status.UNAVAILABLE, "the model was closed"))
        del decoder
        model.unload()


def _read(waiting: _Waiting, model: "ChatModel") -> bool:
    """Tokenize a prompt; whether it can be answered."""
    try:
        waiting.prompt = model.encode(waiting.request.messages)
    except Exception as error:
        waiting.fail(ConfigError(f"the model's chat template failed: {one_line(error)}"))
        return False
    size = len(waiting.prompt)
    if size >= model.window:
        detail = f"a prompt of {size} tokens leaves no room in a window of {model.window}"
        waiting.fail(CallError(Status.OVERFLOW, detail))
    return size < model.window


def _let_in(
    queue: list[_Waiting], decoder: "Decoder", room: Room, window: int
) -> "dict[Row, _Waiting]":
    """Rows for those who are next; none while most of the room is taken."""
    if not queue or (decoder.rows and room.rows - len(decoder.rows) < room.rows / 4):
        return {}
    sizes = [Size(len(one.prompt), _most(one, window)) for one in queue]
    running = [Size(decoder.length, row.most - len(row.said)) for row in decoder.rows]
    chosen = fitting(sizes, running, decoder.length, room)
    return {_row(queue[i], window): queue[i] for i in chosen}


def _most(waiting: _Waiting, window: int) -> int:
    """Most tokens to say: what was asked for, or what the window leaves."""
    return min(max(1, waiting.request.max_tokens), window - len(waiting.prompt))


def _row(waiting: _Waiting, window: int) -> "Row":
    from conductor_gym.live.decoding import Row

    request = waiting.request
    return Row(
        prompt=waiting.prompt,
        most=_most(waiting, window),
        temperature=float(request.settings.get("temperature", 1.0)),
        top_p=float(request.settings.get("top_p", 1.0)),
        random=Random(int(request.key, 16)),
        given_up=waiting.future.cancelled,
    )


def _deliver(row: "Row", waiting: _Waiting, model: "ChatModel") -> None:
    """Hand over a reply, where somebody still waits for it."""
    if waiting.future.set_running_or_notify_cancel():
        text = model.decode(row.said)
        waiting.future.set_result(Completion(text, len(row.prompt), len(row.said)))
