"""A real small model answers, in this process and behind a server, the same each time."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from llm_server import serving
from small_llm import small_llm

from conductor_gym.errors import ConfigError
from conductor_gym.live.batching import Room, Size, fitting
from conductor_gym.live.decoding import choose
from conductor_gym.live.messages import CallError, ChatRequest, Completion, Message
from conductor_gym.live.transformers_client import TransformersClient
from conductor_gym.types import Status
from conductor_gym.workers.endpoint import Endpoint

PROMPTS = (
    "Say hello.",
    "What is the capital of France? One word.",
    "Count from 1 to 5.",
    "What colour is the sky on a clear day? One word.",
    "Is fire hot or cold? One word.",
    "Repeat this word: banana",
    "Name one animal that lives in the sea, and say in one sentence what it eats. " * 3,
    "How many legs has a dog? Answer with a number.",
)


def request(text: str, most: int = 12, temperature: float = 0.0, luck: str = "") -> ChatRequest:
    settings = {"temperature": temperature, "top_p": 0.95 if temperature else 1.0}
    return ChatRequest("w", "m", (Message("user", text),), most, settings, "v1", luck=luck)


@pytest.fixture(scope="module")
def folder() -> Path:
    return small_llm()


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TransformersClient]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    client = TransformersClient(Endpoint(client="transformers", model=str(folder)))
    yield client
    asyncio.run(client.close())
    torch.set_num_threads(threads)


def ask(client: TransformersClient, *requests: ChatRequest) -> list[Completion]:
    async def all_at_once() -> list[Completion]:
        return await asyncio.gather(*(client.send(one, 120.0) for one in requests))

    return asyncio.run(all_at_once())


def failure(call: Callable[[], Coroutine[Any, Any, Completion]]) -> CallError:
    with pytest.raises(CallError) as caught:
        asyncio.run(call())
    return caught.value


def test_the_model_knows_the_capital_of_france(client: TransformersClient):
    (reply,) = ask(client, request(PROMPTS[1]))
    assert "Paris" in reply.text
    assert "<|" not in reply.text


def test_tokens_are_counted_as_the_model_sees_them(client: TransformersClient, folder: Path):
    import transformers

    library: Any = transformers
    tokenizer = library.AutoTokenizer.from_pretrained(folder)
    cut, whole = ask(client, request("Count from 1 to 50.", 7), request(PROMPTS[1], 60))
    chat = [{"role": "user", "content": PROMPTS[1]}]
    marked = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert whole.tokens_in == len(tokenizer(marked)["input_ids"])
    assert whole.tokens_out == len(tokenizer(whole.text)["input_ids"]) + 1  # the end mark
    assert cut.tokens_out == 7


def test_eight_prompts_at_once_get_what_each_gets_alone(folder: Path, monkeypatch: Any):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)  # float32: no near-ties
    client = TransformersClient(Endpoint(client="transformers", model=str(folder)))
    try:
        requests = [request(text, 6, 0.8 * (i % 2)) for i, text in enumerate(PROMPTS)]
        assert ask(client, *requests) == [ask(client, one)[0] for one in requests]
    finally:
        asyncio.run(client.close())


def test_the_same_key_gets_the_same_reply_and_another_attempt_a_new_one(client: TransformersClient):
    first = request("Write a line about the sea.", 16, 1.0)
    again, other = ask(client, first)[0], ask(client, request(PROMPTS[1]), first)[0]
    assert ask(client, first)[0] == again
    assert other.text != again.text
    lucky = [ask(client, request("Write a line about the sea.", 16, 1.0, str(i))) for i in range(3)]
    assert len({reply.text for (reply,) in lucky}) == 3


def test_nothing_is_drawn_from_the_global_random_state(client: TransformersClient):
    before = torch.get_rng_state()
    ask(client, request("Say something.", 4, 1.0))
    assert torch.equal(before, torch.get_rng_state())


def test_a_prompt_beyond_the_window_is_an_overflow(client: TransformersClient):
    error = failure(lambda: client.send(request("word " * 9000), 60.0))
    assert error.status is Status.OVERFLOW
    assert "8192" in error.detail


def test_a_call_ends_at_its_deadline_and_the_model_stays_usable(client: TransformersClient):
    async def give_up() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        with pytest.raises(CallError) as caught:
            await client.send(request("Tell a very long story.", 4000), 0.3)
        assert caught.value.status is Status.TIMEOUT
        return loop.time() - start

    assert asyncio.run(give_up()) < 5.0
    (reply,) = ask(client, request(PROMPTS[1]))
    assert "Paris" in reply.text


def test_who_waits_when_the_client_closes_is_told(folder: Path):
    async def close_early() -> tuple[CallError, CallError]:
        client = TransformersClient(Endpoint(client="transformers", model=str(folder)))
        call = asyncio.create_task(client.send(request("Tell a long story.", 4000), 60.0))
        await asyncio.sleep(0.1)
        await client.close()
        with pytest.raises(CallError) as waiting:
            await call
        with pytest.raises(CallError) as late:
            await client.send(request("Hello."), 60.0)
        return waiting.value, late.value

    for error in asyncio.run(close_early()):
        assert error.status is Status.UNAVAILABLE


def test_a_folder_that_is_not_there_names_itself(tmp_path: Path):
    with pytest.raises(ConfigError, match="no-such-model"):
        TransformersClient(Endpoint(client="transformers", model=str(tmp_path / "no-such-model")))
    with pytest.raises(ConfigError, match="cannot be loaded"):
        TransformersClient(Endpoint(client="transformers", model=str(tmp_path)))


def test_a_setting_that_would_be_ignored_is_refused():
    with pytest.raises(ConfigError, match="min_p"):
        TransformersClient(Endpoint(client="transformers", model="m", extra={"min_p": 0.1}))


def test_the_server_speaks_openai(client: TransformersClient):
    with serving(client, "smollm2") as url, openai.OpenAI(base_url=url, api_key="none") as peer:
        assert [model.id for model in peer.models.list()] == ["smollm2"]
        said = peer.chat.completions.create(
            model="smollm2",
            messages=[{"role": "user", "content": PROMPTS[1]}],
            temperature=0.0,
            max_tokens=12,
        )
        (expected,) = ask(client, request(PROMPTS[1]))
        assert said.choices[0].message.content == expected.text
        assert said.usage is not None
        assert said.usage.prompt_tokens == expected.tokens_in
        assert said.usage.completion_tokens == expected.tokens_out
        with pytest.raises(openai.NotFoundError, match="gpt-9"):
            peer.chat.completions.create(model="gpt-9", messages=[])
        with pytest.raises(openai.BadRequestError) as long:
            peer.chat.completions.create(
                model="smollm2", messages=[{"role": "user", "content": "word " * 9000}]
            )
        assert long.value.code == "context_length_exceeded"


@given(
    st.lists(st.floats(-8.0, 8.0, width=32), min_size=2, max_size=30),
    st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    st.sampled_from([0.05, 0.5, 0.9, 1.0]),
    st.integers(0, 2**23 - 1),
)
def test_a_draw_inverts_the_distribution_function_within_the_nucleus(
    logits: list[float], temperature: float, top_p: float, draw: int
):
    row = torch.tensor([logits])
    token = int(choose(row, [temperature], [top_p], [draw * 2.0**-23])[0])
    chances = torch.softmax(row[0].double() / (temperature or 1e-3), dim=0)
    likelier = chances[chances > chances[token] * (1 + 1e-4)].sum().item()
    assert likelier < top_p + 1e-4
    if temperature == 0.0:
        assert likelier == 0.0
    elif top_p == 1.0:
        below = chances[:token].sum().item()
        assert below - 1e-4 <= draw * 2.0**-23 <= below + chances[token].item() + 1e-4


SIZES = st.lists(st.builds(Size, st.integers(1, 3000), st.integers(1, 1000)), max_size=40)


@given(SIZES, SIZES)
def test_who_is_let_in_fits_and_little_is_padding(waiting: list[Size], running: list[Size]):
    room, running = Room(16, 20_000, 4_096), running[:16]
    length = max((size.held for size in running), default=0)
    chosen = fitting(waiting, running, length, room)
    new = [waiting[i] for i in chosen]
    assert len(set(chosen)) == len(chosen)
    if waiting and not running:
        assert 0 in chosen, "who waited longest must not starve"
    if len(new) + len(running) > 1 and new:
        longest = max(size.held for size in new)
        rows = [*running, *new]
        padded = max(length, longest) + max(size.to_say for size in rows)
        assert len(rows) <= room.rows
        assert len(rows) * padded <= room.cached
        assert len(new) == 1 or len(new) * longest <= room.read
        assert len(new) * longest <= 2 * sum(size.held for size in new)
