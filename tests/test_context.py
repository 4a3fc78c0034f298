"""A live call sees what the account says: newest outputs first, then documents, by real tokens."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor_gym.errors import ConfigError
from conductor_gym.live.context import Past, fill_context
from conductor_gym.live.messages import Message, Tokens
from conductor_gym.live.prompts import Seen
from conductor_gym.live.tokens import CharTokens, HFTokens, LiteLLMTokens, tokens_of
from conductor_gym.tasks.documents import documents_of
from conductor_gym.tasks.suite import load_split
from conductor_gym.types import CONTEXT_LEVELS, Subtask
from conductor_gym.workers.endpoint import Endpoint

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXTS = st.text(max_size=300) | st.text(alphabet="ab ,.\n\u00e9\u2227\U0001f600", max_size=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level tokenizer in a folder as models have it, trained on some documents."""
    tokenizers: Any = pytest.importorskip("tokenizers")
    transformers: Any = pytest.importorskip("transformers")
    task = next(t for t in load_split("core-v1", "dev").tasks if t.documents is not None)
    core = tokenizers.Tokenizer(tokenizers.models.BPE())
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(documents_of(task), trainer)
    path = tmp_path_factory.mktemp("model")
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=core)
    wrapped.chat_template = TEMPLATE
    wrapped.save_pretrained(path)
    return path


@pytest.fixture(scope="module", params=["characters", "own tokenizer", "litellm"])
def counter(request: pytest.FixtureRequest, folder: Path) -> Tokens:
    if request.param == "characters":
        return CharTokens()
    if request.param == "litellm":
        if find_spec("litellm") is None:
            pytest.skip("litellm is not installed")
        return LiteLLMTokens("gpt-4o")
    return HFTokens(str(folder))


@given(text=TEXTS, most=st.integers(-1, 60))
@settings(max_examples=60, deadline=None)
def test_a_cut_is_a_start_that_fits_and_nothing_is_cut_without_need(
    counter: Tokens, text: str, most: int
):
    start = counter.cut(text, most)
    assert text.startswith(start)
    assert counter.count(start) <= max(0, most)
    if counter.count(text) <= most:
        assert start == text


def test_a_cut_leaves_little_unused(counter: Tokens):
    text = "The pump at Acorn Field Station was repaired in March 2014 for 4,723 crowns.\n" * 40
    for most in (1, 7, 100, 300):
        assert counter.count(counter.cut(text, most)) >= most - 1


@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_no_chat_has_more_tokens_than_its_bound(counter: Tokens, texts: list[str]):
    messages = tuple(Message("user", text) for text in texts)
    assert counter.bound(messages) > sum(counter.count(text) for text in texts)


def test_the_bound_of_an_own_tokenizer_holds_its_chat_template_and_is_near(folder: Path):
    tokens = HFTokens(str(folder))
    messages = (Message("system", "Be brief."), Message("user", "What is 2 + 3?"))
    chat = "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in messages)
    exact = tokens.count(chat + "<|im_start|>assistant\n")
    assert exact <= tokens.bound(messages) <= exact + 40


def test_a_chat_template_that_fails_does_not_stop_the_bound(folder: Path, tmp_path: Path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "chat_template.jinja").write_text("{{ raise_exception('no system role') }}")
    assert HFTokens(str(tmp_path)).bound((Message("system", "Be brief."),)) > 2


@given(
    level=st.sampled_from(CONTEXT_LEVELS[:4]),
    billed=st.lists(st.integers(1, 900), max_size=5),
    characters=st.integers(0, 20_000),
)
@settings(max_examples=100, deadline=None)
def test_the_context_follows_the_account_of_the_environment(
    level: int, billed: list[int], characters: int
):
    tokens = CharTokens()
    outputs = [
        Past(Seen(f"worker {i}", Subtask.SOLVE, "abcd" * n), n) for i, n in enumerate(billed)
    ]
    documents = "d" * characters
    context = fill_context(level, outputs, documents, tokens)
    # as `plan_call` counts
    of_outputs = min(level, sum(billed))
    shown = min(level - of_outputs, tokens.count(documents))
    assert context.tokens == of_outputs + shown <= level
    assert sum(tokens.count(seen.text) for seen in context.outputs) == of_outputs
    assert documents.startswith(context.documents)
    assert tokens.count(context.documents) == shown
    assert [seen.label for seen in context.outputs] == [
        past.seen.label for past in outputs[: len(context.outputs)]
    ]
    assert all(seen == past.seen for seen, past in zip(context.outputs[:-1], outputs, strict=False))


def test_an_output_counts_as_billed_whatever_its_text_is_long():
    past = Past(Seen("a", Subtask.SOLVE, "short"), 250)  # its reasoning was billed too
    context = fill_context(256, [past], "word " * 1000, CharTokens())
    assert context.outputs == (past.seen,)
    assert len(context.documents) == 6 * 4
    assert context.tokens == 256


def test_level_0_shows_nothing():
    past = Past(Seen("a", Subtask.SOLVE, "Answer: 4"), 3)
    context = fill_context(0, [past], "documents", CharTokens(), condensed="notes")
    assert (context.outputs, context.documents, context.condensed, context.tokens) == (
        (),
        "",
        False,
        0,
    )


def test_notes_stand_for_the_documents():
    context = fill_context(256, [], "documents", CharTokens(), condensed="notes")
    assert (context.documents, context.condensed) == ("notes", True)


def test_documents_of_the_suite_are_cut_by_the_workers_own_tokens(folder: Path):
    tokens = HFTokens(str(folder))
    attached = [t for t in load_split("core-v1", "dev").tasks if t.documents is not None][:3]
    for task in attached:
        text = "\n\n".join(documents_of(task))
        for level in CONTEXT_LEVELS[1:3]:
            context = fill_context(level, [], text, tokens)
            assert text.startswith(context.documents)
            assert level - 2 <= tokens.count(context.documents) <= level


def test_each_kind_of_endpoint_has_its_way_of_counting(folder: Path):
    url = "http://127.0.0.1:8000/v1"
    assert isinstance(tokens_of(Endpoint(client="openai", model="m", base_url=url)), CharTokens)
    own = Endpoint(client="openai", model="m", base_url=url, tokenizer=str(folder))
    assert isinstance(tokens_of(own), HFTokens)
    here = Endpoint(client="transformers", model=str(folder))
    assert tokens_of(here) is tokens_of(own)


def test_a_missing_tokenizer_says_what_to_give(tmp_path: Path):
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match=r"tokenizer\.json.*`tokenizer` of the worker"):
        HFTokens(str(tmp_path / "nowhere"))
