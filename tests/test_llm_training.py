"""Language models are trained: the loss falls, groups share episodes, a killed run goes on."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_llm import tiny_llm

from conductor_gym.agents.llm_config import LlmConfig, load_llm_config
from conductor_gym.agents.training import TrainingRun
from conductor_gym.errors import ConductorError, ConfigError, DataFileError, UnknownNameError
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.rollouts import Rollouts
from conductor_gym.leaderboard.tracks import find_track

torch = pytest.importorskip("torch")
for needed in ("trl", "peft", "accelerate", "datasets"):
    pytest.importorskip(needed)

CONFIG = """
summary = "a test"
cost_weight = 0.05
dtype = "float32"
[language]
instructed = false
query_characters = 0
"""
LORA = """
[lora]
rank = 2
alpha = 8.0
"""
SFT = """
[sft]
teachers = ["best-by-domain"]
episodes = 24
epochs = 2
dev_episodes = 4
device_batch = 8
learning_rate = 3e-2
"""
GRPO = """
[grpo]
steps = 2
groups = 2
group_size = 2
device_batch = 4
learning_rate = 1e-3
reply_tokens = 2
max_tokens = 40
contested = 1.0
checkpoint_every = 1
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    return tiny_llm(tmp_path_factory.mktemp("models") / "tiny")


def train(
    folder: Path,
    model: Path,
    config: str,
    seed: int = 0,
    report: Callable[[int, float], None] = lambda steps, value: None,
) -> dict[str, Any]:
    """A run on track paper; the card."""
    from conductor_gym.agents.llm_training import train_llm

    recipe = folder.parent / f"{folder.name}.toml"
    recipe.write_text(config)
    setting = find_track("paper").setting(0.05)
    run = TrainingRun("llm", setting, folder, 0, seed, report, model=str(model), recipe=str(recipe))
    return train_llm(run)


def weights(folder: Path) -> bytes:
    """Of the adapters."""
    return (folder / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def both(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A model after both stages, and its card; the global random states are checked on the way."""
    folder = tmp_path_factory.mktemp("both") / "seed-0"
    before = _random_states()
    card = train(folder, model, CONFIG + LORA + SFT + GRPO)
    assert _random_states() == before
    return folder, card


def test_fine_tuning_lowers_the_loss_and_both_stages_leave_a_loadable_folder(
    both: tuple[Path, dict[str, Any]], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from conductor_gym.agents.llm_settings import read_conductor
    from conductor_gym.agents.llm_start import find_start

    folder, card = both
    sft, grpo = card["stages"]
    losses = [loss for _, loss in sft["losses"]]
    assert losses[-1] < losses[0] - 0.05
    assert sft["dev_losses"][-1][1] < losses[0] - 0.05
    assert (sft["episodes"], grpo["steps"], grpo["episodes"]) == (24, 2, 8)
    assert json.loads((folder / "card.json").read_text()) == card
    kept = {path.name for path in folder.iterdir()}
    assert kept >= {"card.json", "adapter_model.safetensors", "adapter_config.json", "sft"}
    assert "checkpoints" not in kept
    assert not list(folder.rglob("*.bin")) + list(folder.rglob("*.pt"))
    assert str(model.parent) not in "".join(p.read_text() for p in folder.rglob("*.json"))
    monkeypatch.setenv("CONDUCTOR_GYM_MODELS", str(model.parent))
    for place, stages in ((folder, 2), (folder / "sft", 1)):
        conductor = read_conductor(place)
        assert conductor.language == LanguageOptions(instructed=False, query_characters=0)
        assert (Path(conductor.base), conductor.adapter) == (model, place)
        assert len(find_start(str(place)).before) == stages


def test_the_same_seed_gives_the_same_weights_and_a_finished_run_is_left_as_it_is(
    both: tuple[Path, dict[str, Any]], model: Path, tmp_path: Path
) -> None:
    folder, card = both
    train(tmp_path / "again", model, CONFIG + LORA + SFT)
    assert weights(tmp_path / "again") == weights(folder / "sft")
    stamp = (folder / "card.json").stat().st_mtime_ns
    assert train(folder, model, CONFIG + LORA + SFT + GRPO) == card
    assert (folder / "card.json").stat().st_mtime_ns == stamp


def test_a_killed_run_goes_on_to_the_same_weights(
    both: tuple[Path, dict[str, Any]], model: Path, tmp_path: Path
) -> None:
    folder, _ = both
    stopped = tmp_path / "seed-0"

    def stop(steps: int, value: float) -> None:
        del value
        if steps == 6 + 2:  # the first step of GRPO is in a checkpoint
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(stopped, model, CONFIG + LORA + SFT + GRPO, report=stop)
    assert not (stopped / "card.json").exists()
    assert (stopped / "checkpoints" / "grpo" / "checkpoint-1" / "draw.json").is_file()
    with pytest.raises(ConfigError, match="another run"):
        train(stopped, model, CONFIG + LORA + SFT + GRPO, seed=1)
    card = train(stopped, model, CONFIG + LORA + SFT + GRPO)
    assert weights(stopped) == weights(folder)
    assert len(card["stages"][1]["log"]["mean_return"]) == 2


def test_all_weights_can_be_trained(model: Path, tmp_path: Path) -> None:
    from conductor_gym.agents.llm_settings import read_conductor

    card = train(tmp_path / "full", model, CONFIG + SFT.replace("epochs = 2", "epochs = 1"))
    conductor = read_conductor(tmp_path / "full")
    assert (conductor.adapter, conductor.base) == (None, str(tmp_path / "full"))
    assert card["base"]["name"] == "tiny"


def test_a_group_shares_its_episode_and_flat_groups_are_counted(model: Path) -> None:
    from conductor_gym.agents.llm_draw import EpisodeDraw
    from conductor_gym.agents.llm_rollouts import measures, play_rollouts
    from conductor_gym.agents.llm_start import find_start, load_tokenizer
    from conductor_gym.agents.llm_writers import Written
    from conductor_gym.language.episode_tokens import ChatTokens

    config = LlmConfig.model_validate(
        {"summary": "", "grpo": dict(_grpo(), reply_tokens=8, max_tokens=200)}
    )
    assert config.grpo is not None
    environment = replace(find_track("paper").training(), cost_weight=0.05)
    draw = EpisodeDraw(environment, 0, 0, 0.5)
    chat = ChatTokens(load_tokenizer(find_start(str(model))))
    places = [draw.place(group) for group in (5, 5, 6, 6)]
    assert places[0] == places[1] != places[2]

    class Scripted:
        """Writes what it is told; keeps what it was asked."""

        def __init__(self, scripts: list[list[str]]) -> None:
            self.scripts = scripts
            self.prompts: list[list[int]] = []

        def begin(self, prompts: Any) -> None:
            self.prompts = list(prompts)

        def write(self, news: Any) -> list[Written]:
            said: list[Written] = []
            for more, script in zip(news, self.scripts, strict=True):
                tokens = [] if more is None else chat.reply(script.pop(0))
                said.append(Written(tokens, [-1.0] * len(tokens)))
            return said

    scripts = [["submit"], ["solve 0", "submit"], ["submit"], ["submit"]]
    rollouts = Rollouts(environment, LanguageOptions(instructed=False), 4)
    writer = Scripted(scripts)
    played = play_rollouts(rollouts, places, writer, chat, config.grpo)
    assert writer.prompts[0] == writer.prompts[1] != writer.prompts[2]
    assert played.steps.tolist() == [1, 2, 1, 1]
    assert played.invalid.tolist() == [0, 0, 0, 0]
    own = [np.array(r.completion)[np.array(r.mask) == 1].tolist() for r in played.rollouts]
    assert [chat.read(tokens) for tokens in own] == ["submit", "solve 0submit", "submit", "submit"]
    assert all(len(r.completion) == len(r.mask) == len(r.logprobs) for r in played.rollouts)
    groups = [played.rewards[:2].tolist(), played.rewards[2:].tolist()]
    assert np.ptp(groups[0]) > 0
    assert measures(played, groups, 0.0)["flat_groups"] == 0.5
    before = draw.scores[places[0].query], draw.scores[places[2].query]
    draw.learn([(places[0].query, [0.0, 1.0]), (places[2].query, [0.5, 0.5])])
    assert draw.scores[places[0].query] > draw.scores[places[2].query] < before[1]


def test_what_is_read_once_gives_the_same_as_what_is_read_again_and_again(model: Path) -> None:
    import transformers

    from conductor_gym.agents.llm_shared import completion_logprobs, reply_logits
    from conductor_gym.agents.llm_writers import CachedWriter

    library: Any = transformers
    network = library.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    draws = torch.Generator().manual_seed(3)

    def tokens(count: int) -> Any:
        return torch.randint(3, 40_000, (count,), generator=draws)

    def alone(row: Any) -> Any:
        return torch.log_softmax(network(input_ids=row[None]).logits[0, :-1].float(), dim=-1)

    common = tokens(20)
    rows = [torch.cat([common, tokens(k)]) for k in (15, 22, 30)]
    found = torch.log_softmax(reply_logits(network, rows, 9).float(), dim=-1)
    for row, logits in zip(rows, found, strict=True):
        torch.testing.assert_close(logits, alone(row)[-9:], atol=1e-4, rtol=1e-4)

    # What a writer says, in two turns, with the chances that the whole sequence gives.
    own = torch.Generator().manual_seed(1)
    writer = CachedWriter(network, 2, 4, 1.0, 1.0, own, torch.no_grad)
    prompts = [tokens(k).tolist() for k in (12, 17)]
    prompts.insert(1, prompts[0])
    writer.begin(prompts)
    first = writer.write([[], [], []])
    news: list[Any] = [tokens(3).tolist(), None, tokens(6).tolist()]
    second = writer.write(news)
    assert second[1].tokens == []
    assert first[0].tokens != first[1].tokens
    padded: list[list[int]] = []
    real: list[list[int]] = []
    for row in (0, 2):
        completion = first[row].tokens + news[row] + second[row].tokens
        whole = torch.tensor(prompts[row] + completion)
        chances = alone(whole).gather(1, whole[1:, None])[:, 0]
        end = len(second[row].tokens)
        torch.testing.assert_close(
            chances[-end:], torch.tensor(second[row].logprobs), atol=1e-4, rtol=1e-4
        )
        front, behind = 17 - len(prompts[row]), 14 - len(completion)
        padded.append([2] * front + whole.tolist() + [2] * behind)
        real.append([0] * front + [1] * len(whole) + [0] * behind)
        wanted = torch.tensor([[t < len(completion) and t % 3 > 0 for t in range(14)]])
        logprobs, entropies = completion_logprobs(
            network, torch.tensor(padded[-1:]), torch.tensor(real[-1:]), 14, 1.0, wanted
        )
        told = torch.zeros(14)
        told[: len(completion)] = chances[-len(completion) :]
        torch.testing.assert_close(logprobs, torch.where(wanted, told, 0.0), atol=1e-4, rtol=1e-4)
        assert bool(((entropies > 0) == wanted).all())


def _random_states() -> list[str]:
    """Of the process: Python's, numpy's and torch's."""
    states: list[Any] = [random.getstate(), np.random.get_state(), torch.get_rng_state().tolist()]  # noqa: NPY002
    return [str(state) for state in states]


def _grpo() -> dict[str, Any]:
    return {
        "steps": 1, "groups": 2, "group_size": 2, "device_batch": 4, "learning_rate": 1e-3,
    }  # fmt: skip


def test_grpo_takes_a_step_on_workflows_with_the_papers_reward(model: Path, tmp_path: Path) -> None:
    told = CONFIG.replace("[language]", '[language]\ninterface = "workflow"')
    stage = GRPO.replace("steps = 2", 'steps = 1\nreward = "paper"').replace("= 40", "= 80")
    card = train(tmp_path / "run", model, told + stage)
    log = card["stages"][-1]["log"]
    assert len(log["mean_return"]) == 1
    assert 0.0 <= log["mean_return"][0] <= 1.0  # the paper's reward: nothing is charged
    from conductor_gym.agents.llm_settings import read_conductor

    assert read_conductor(tmp_path / "run").language.interface == "workflow"


def test_configurations_say_what_is_wrong_with_them(tmp_path: Path, model: Path) -> None:
    for name in ("tiny", "smollm2", "smollm2-shuffled"):
        assert load_llm_config(name).sft is not None
    with pytest.raises(UnknownNameError, match="Did you mean 'tiny'"):
        load_llm_config("tinny")
    wrong = {
        CONFIG: "nothing would be trained",
        CONFIG + GRPO.replace("groups = 2", "groups = 3"): "must be equal",
        CONFIG.replace("instructed", "instruct") + SFT: "no language option 'instruct'",
        CONFIG + SFT.replace("epochs", "epoch"): "did you mean 'epochs'",
        CONFIG.replace("[language]", '[language]\ninterface = "workflow"') + SFT: "teach the text",
    }
    for text, said in wrong.items():
        path = tmp_path / "wrong.toml"
        path.write_text(text)
        with pytest.raises(DataFileError, match=said):
            load_llm_config(str(path))
    for change, said in (
        (("best-by-domain", "ppo"), "is trained: a teacher is fixed"),
        (("best-by-domain", "divid"), "Did you mean 'divide'"),
        (("learning_rate", "max_tokens = 5\nlearning_rate"), "no episode fits"),
    ):
        with pytest.raises(ConductorError, match=said):
            train(tmp_path / "run", model, CONFIG + LORA + SFT.replace(*change))


def test_the_command_says_what_is_missing_and_trains_into_the_models_folder(
    both: tuple[Path, dict[str, Any]], model: Path, tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    from conductor_gym.cli import app

    wrong = {
        ("train", "llm", "--config", "tiny"): "takes --model",
        ("train", "llm", "--model", "nowhere", "--config", "tiny"): "no model 'nowhere'",
        ("train", "llm", "--model", str(model), "--config", "tinny"): "Did you mean 'tiny'",
        ("train", "llm", "--model", str(model), "--timesteps", "5"): "leave out",
        ("train", "bc", "--config", "tiny"): "go with: llm",
    }
    for words, said in wrong.items():
        done = CliRunner().invoke(app, [*words, "--models", str(tmp_path)])
        assert isinstance(done.exception, ConductorError), words
        assert said in str(done.exception)
    assert not list(tmp_path.rglob("*.json"))
    words = ["train", "llm", "--track", "paper", "--models", str(tmp_path), "--json"]
    recipe = tmp_path / "own.toml"
    recipe.write_text(CONFIG + LORA + SFT)
    done = CliRunner().invoke(app, [*words, "--model", str(model), "--config", str(recipe)])
    assert done.exit_code == 0, done.output
    assert weights(tmp_path / "paper" / "llm" / "seed-0") == weights(both[0] / "sft")
