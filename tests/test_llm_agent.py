"""A language model conducts: what it writes is valid, the same each time, and counted."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_server import serving
from small_llm import small_llm
from tiny_llm import tiny_llm
from typer.testing import CliRunner

from conductor_gym.agents.llm import LLMConductor
from conductor_gym.agents.llm_engines.token_trie import Tries, Walk
from conductor_gym.agents.registry import make_agent
from conductor_gym.cli import app
from conductor_gym.engine import Engine
from conductor_gym.errors import ConductorError, ConfigError, DataFileError, SpendingCeilingError
from conductor_gym.language.dialogue import dialogue_of
from conductor_gym.language.grammar import ActionGrammar
from conductor_gym.language.lines import Line
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.parse import parse_action
from conductor_gym.language.workflow import Workflow, parse_workflow
from conductor_gym.language.workflow_grammar import WorkflowGrammar
from conductor_gym.leaderboard.evaluate import Episodes, Replay, play
from conductor_gym.leaderboard.results import evaluate, read_result, result_path, write_result
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.live.transformers_client import TransformersClient
from conductor_gym.types import MISSING
from conductor_gym.workers.endpoint import Endpoint

TRACK = find_track("standard")
SETTING = TRACK.setting(0.05)
CONFIG = TRACK.evaluation(0.05)
N = 8


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llm(tmp_path_factory.mktemp("models") / "tiny")


def conductor(folder: Path, model: Path, language: str = "", **told: Any) -> LLMConductor:
    """A conductor by a file of settings."""
    path = folder / "conductor.toml"
    given = {"model": str(model), "dtype": "float32", **told}
    lines = [f"{name} = {json.dumps(value)}" for name, value in given.items()]
    path.write_text("\n".join([*lines, "[language]", language]))
    return LLMConductor(SETTING, path)


def played(agent: LLMConductor, episodes: int = 6, batch: int | None = None) -> Episodes:
    return play(agent, CONFIG, episodes, batch)


@pytest.fixture(scope="module")
def once(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Episodes:
    return played(conductor(tmp_path_factory.mktemp("once"), tiny), N, N)


def test_a_constrained_conductor_makes_no_invalid_form_and_pays_no_penalty_for_it(once: Episodes):
    codes = [code for row in once.decisions for code in row]
    assert MISSING not in codes
    assert once.failures == {}
    assert len(set(codes)) > 5  # random weights try many things


def test_constrained_decisions_do_not_depend_on_the_batch_in_float32(
    once: Episodes, tiny: Path, tmp_path: Path
):
    pieces = played(conductor(tmp_path, tiny), N, 3)
    assert pieces.decisions == once.decisions
    assert np.array_equal(pieces.quality, once.quality)


def test_its_decisions_replay_to_the_same_score(once: Episodes):
    again = play(Replay(once.decisions), CONFIG, N, privileged=True)
    assert np.array_equal(again.quality, once.quality)
    assert np.array_equal(again.cost, once.cost)


def test_own_tokens_are_those_of_the_chats_and_replies(once: Episodes, tiny: Path, tmp_path: Path):
    agent = conductor(tmp_path, tiny)
    engine = Engine(CONFIG, 1)
    observation = engine.new_observation()
    engine.start(np.arange(1), np.zeros(1, np.int64), np.arange(1), observation)
    first = agent.engine.count(dialogue_of(engine, 0, agent.language).messages)
    assert once.own_tokens is not None
    read, written = once.own_tokens[0].tolist()
    steps = len(once.decisions[0])
    assert first * steps <= read <= (first + 40 * steps) * steps
    assert 2 * steps <= written <= 12 * steps


def test_the_same_seed_draws_the_same_and_another_one_does_not(tiny: Path, tmp_path: Path):
    runs = [
        play(
            LLMConductor(replace(SETTING, seed=seed), _heated(tmp_path, tiny)), CONFIG, 3
        ).decisions
        for seed in (0, 0, 1)
    ]
    assert runs[0] == runs[1] != runs[2]


def _heated(folder: Path, model: Path) -> Path:
    path = folder / "heated.toml"
    path.write_text(f'model = "{model}"\ndtype = "float32"\ntemperature = 1.0\n')
    return path


def test_free_replies_of_a_random_model_cost_a_penalty_and_never_crash(tiny: Path, tmp_path: Path):
    agent = conductor(tmp_path, tiny, decoding="free", max_new_tokens=4)
    free = played(agent, 1)
    assert free.failures == {}
    assert all(code == MISSING for row in free.decisions for code in row)
    assert free.invalid.tolist() == [len(row) for row in free.decisions]
    assert free.own_tokens is not None
    # each decision is asked for twice: the second chat holds the first reply and why it was none
    assert free.own_tokens[0, 1] >= 2 * len(free.decisions[0])


def test_a_conductor_of_workflows_is_scored_and_its_row_says_so(tiny: Path, tmp_path: Path):
    path = tmp_path / "flows.toml"
    path.write_text(f'model = "{tiny}"\ndtype = "float32"\n[language]\ninterface = "workflow"\n')
    result = evaluate("llm", "standard", 2, model=path)
    assert (result.agent, result.interface) == ("llm:flows", "workflow")
    assert [at.failures for at in result.at] == [{}]
    assert result.at[0].own_tokens is not None


def test_a_prompt_keeps_within_its_budget_of_tokens(tiny: Path, tmp_path: Path):
    agent = conductor(tmp_path, tiny, max_prompt_tokens=600)
    whole = conductor(tmp_path, tiny, max_prompt_tokens=100_000)
    engine = Engine(CONFIG, 12)
    observation = engine.new_observation()
    every = np.arange(12)
    engine.start(every, np.zeros(12, np.int64), every, observation)
    chats = [dialogue_of(engine, slot, agent.language) for slot in every.tolist()]
    long = [whole.engine.count(chat.messages) > 600 for chat in chats]
    assert any(long)
    for dialogue in chats:
        shown = agent.chat(dialogue)
        assert agent.engine.count(shown) <= 600
        assert shown[1].content.startswith("Workers")


def test_the_result_file_holds_own_tokens_and_reads_back(tiny: Path, tmp_path: Path):
    result = evaluate("llm", "standard", 2, model=tiny)
    assert [at.cost_weight for at in result.at] == [0.05]
    assert result.agent == "llm:tiny"
    own = result.at[0].own_tokens
    assert own is not None
    assert own.tokens_in == sum(read for read, _ in own.by_episode)
    again = read_result(write_result(result, tmp_path))
    assert again == result
    assert "by_episode" not in json.dumps(result.summary())
    assert result_path(tmp_path, "standard", result.agent).is_file()


def offers(n: int = 24) -> list[Any]:
    """What can be chosen in some states of some episodes."""
    engine = Engine(CONFIG, n)
    observation = engine.new_observation()
    every = np.arange(n)
    engine.start(every, np.zeros(n, np.int64), every, observation)
    found: list[Any] = []
    draw = np.random.default_rng(5)
    language = LanguageOptions()
    for _ in range(3):
        here = [dialogue_of(engine, slot, language).offer for slot in every.tolist()]
        found += here
        actions = np.zeros((n, 3), np.int64)
        for slot, offer in enumerate(here):
            actions[slot, 0] = offer.slots[int(draw.integers(len(offer.slots)))]
        engine.step(actions, observation)
    return found


_OFFERS = offers()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_a_model_prefers_a_walk_ends_in_a_valid_reply(data: st.DataObject):
    offer = data.draw(st.sampled_from(_OFFERS))
    workflow = data.draw(st.booleans())
    grammar = WorkflowGrammar(replace(offer, steps=5)) if workflow else ActionGrammar(offer)
    walk = Walk(_bytes_tries(), grammar)
    while not walk.done:
        allowed = walk.allowed()
        assert allowed
        walk.push(data.draw(st.sampled_from(allowed)))
    text = "\n".join(walk.lines)
    said = bytes(token for token in walk.tokens if token < 256).decode()
    assert said == text
    if workflow:
        assert isinstance(parse_workflow(text, replace(offer, steps=5)), Workflow)
    else:
        assert isinstance(parse_action(text, offer), Line)


def _bytes_tries() -> Tries:
    """Tries whose tokens are bytes; 256 ends a reply."""
    return Tries(lambda text: list(text.encode()), 256)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"card.json": "[]"}, "not a model card"),
        ({"card.json": '{"algorithm": "ppo"}'}, "score it as agent 'ppo'"),
        ({"card.json": '{"algorithm": "llm"}'}, "neither an adapter"),
        ({"card.json": '{"algorithm": "llm"}', "adapter_config.json": "{}"}, "base.name"),
        (
            {
                "card.json": '{"algorithm": "llm", "base": {"name": "no-such-model"}}',
                "adapter_config.json": "{}",
            },
            "CONDUCTOR_GYM_MODELS",
        ),
        ({"card.json": '{"algorithm": "llm", "decoding": "loud"}', "config.json": ""}, "decoding"),
        (
            {"card.json": '{"algorithm": "llm", "language": {"interfaec": "text"}}'},
            "Did you mean 'interface'",
        ),
        ({"pytorch_model.bin": "", "config.json": "{}"}, "pickles"),
        ({"seed-0/card.json": "{}"}, "name "),
        ({"config.json": "{}"}, "safetensors"),
        ({"run.toml": 'modle = "x"'}, "did you mean 'model'"),
        ({"run.toml": 'model = "x"\nengine = "server"'}, "base_url"),
        ({"run.toml": 'model = "x"\nengine = "litellm"\ndecoding = "free"'}, "no price"),
    ],
)
def test_what_is_wrong_with_a_model_is_told(files: dict[str, str], told: str, tmp_path: Path):
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    model = tmp_path / "run.toml" if "run.toml" in files else tmp_path
    with pytest.raises(ConductorError, match=told):
        make_agent("llm", SETTING, model)


def test_no_model_and_an_unknown_one_are_told_how_to_get_one():
    with pytest.raises(ConfigError, match="--model"):
        make_agent("llm", SETTING)
    with pytest.raises(ConfigError, match="CONDUCTOR_GYM_MODELS"):
        make_agent("llm", SETTING, Path("no-such-model"))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_changes_what_its_base_does_and_another_base_is_refused(
    once: Episodes, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import peft
    import transformers

    from conductor_gym.agents.llm_weights import weights_hash

    library: Any = transformers
    tuner: Any = peft
    model = library.AutoModelForCausalLM.from_pretrained(str(tiny))
    maker: Any = torch
    with maker.random.fork_rng():
        maker.manual_seed(1)
        config = tuner.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        tuner.get_peft_model(model, config).save_pretrained(str(tmp_path))
    card = {
        "algorithm": "llm",
        "name": "tiny-lora",
        "seed": 3,
        "base": {"name": "tiny", "hash": weights_hash(tiny)},
        "language": {"workers": "anonymous"},
    }
    (tmp_path / "card.json").write_text(json.dumps(card))
    monkeypatch.setenv("CONDUCTOR_GYM_MODELS", str(tiny.parent))
    agent = LLMConductor(SETTING, tmp_path)
    assert (agent.name, agent.language.workers) == ("tiny-lora", "anonymous")
    assert agent.card["seed"] == 3
    assert played(agent, N).decisions != once.decisions
    card["base"] = {"name": "tiny", "hash": "0" * 32}
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(DataFileError, match="other weights"):
        LLMConductor(SETTING, tmp_path)


@pytest.mark.parametrize("name", ["smollm2-135m-sft", "smollm2-135m-grpo"])
def test_run_plays_the_conductors_of_the_board_and_tells_their_own_tokens(
    name: str, repository: Path, tmp_path: Path
):
    small_llm()
    model = repository / "leaderboard" / "conductors" / name / "seed-0"
    arguments = ["run", "--agent", "llm", "--model", str(model), "--track", "language"]
    arguments += ["--limit", "2", "--assumptions", "mid", "--results", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "own tokens" in done.output
    result = read_result(tmp_path / "language" / f"llm-{name}.seed-0.json")
    assert result.at[0].invalid_actions == 0
    assert result.at[0].failures == {}
    assert (model / "adapter_model.safetensors").stat().st_size < 6_000_000


def test_a_run_of_all_agents_leaves_it_out_without_a_model():
    from rich.console import Console

    from conductor_gym.cli.run import jobs_of

    jobs = list(jobs_of(["all"], "standard", None, Path("nowhere"), Console(quiet=True)))
    assert "llm" not in [name for name, _ in jobs]


def test_a_served_conductor_never_passes_its_ceiling_and_pays_nothing_twice(
    tiny: Path, tmp_path: Path
):
    client = TransformersClient(Endpoint(client="transformers", model=str(tiny)))
    told: dict[str, Any] = {"engine": "server", "decoding": "free", "max_new_tokens": 3}
    told |= {"usd_per_m_input": 1.0, "usd_per_m_output": 1.0}

    def journalled(name: str, ceiling: float, temperature: float = 0.0) -> Episodes:
        more: dict[str, Any] = {"journal": str(tmp_path / name), "ceiling_usd": ceiling}
        more |= told | {"base_url": url}
        agent = conductor(tmp_path, Path("tiny"), temperature=temperature, **more)
        try:
            return played(agent, 2)
        finally:
            agent.engine.close()

    with serving(client, "tiny") as url:
        for name, temperature in (("calls.jsonl", 0.0), ("samples.jsonl", 1.0)):
            first = journalled(name, 0.05, temperature)
            read = first.own_tokens
            assert read is not None
            assert read.sum() > 1000
            kept = (tmp_path / name).read_bytes()
            again = journalled(name, 0.000_01, temperature)  # not enough for a single call
            assert again.decisions == first.decisions
            assert again.own_tokens is not None
            assert np.array_equal(again.own_tokens, read)
            assert (tmp_path / name).read_bytes() == kept
        with pytest.raises(SpendingCeilingError, match="spending ceiling is reached"):
            journalled("others.jsonl", 0.000_01)
