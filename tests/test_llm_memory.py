"""The memory plan of an LLM conductor's training holds against bytes that were measured."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conductor_gym.agents.llm_config import LlmConfig, load_llm_config
from conductor_gym.agents.llm_memory import (
    GPU_BYTES,
    PLANNED,
    QWEN_7B,
    Shape,
    memory_plan,
    memory_table,
    model_shape,
)
from conductor_gym.errors import ConfigError, DataFileError

torch: Any = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")
peft: Any = pytest.importorskip("peft")

# PEFT asks transformers for a name that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
RANK = 8


@pytest.fixture(scope="module")
def seven() -> Shape:
    return model_shape()


@pytest.fixture(scope="module")
def small_config() -> Any:
    """The architecture of Qwen2.5-7B at a small width, its proportions kept."""
    return transformers.Qwen2Config(
        hidden_size=64,
        intermediate_size=336,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=512,
        tie_word_embeddings=False,
    )


@pytest.fixture(scope="module")
def small(small_config: Any, tmp_path_factory: pytest.TempPathFactory) -> Shape:
    folder = tmp_path_factory.mktemp("small")
    small_config.save_pretrained(folder)
    return model_shape(folder / "config.json")


@pytest.fixture(params=["adapters", "all weights"])
def model(request: pytest.FixtureRequest, small_config: Any) -> Iterator[Any]:
    """A small model as it is trained, with or without adapters."""
    with torch.random.fork_rng():
        made = transformers.AutoModelForCausalLM.from_config(small_config, dtype=torch.bfloat16)
        if request.param == "adapters":
            lora = peft.LoraConfig(r=RANK, target_modules="all-linear", task_type="CAUSAL_LM")
            made = peft.get_peft_model(made, lora)
        yield made


def one_gpu(model: Any) -> LlmConfig:
    """The configuration for one GPU, for what the small model trains."""
    config = load_llm_config("qwen7b-lora-1gpu")
    lora = config.lora and config.lora.model_copy(update={"rank": RANK})
    return config.model_copy(update={"lora": lora if hasattr(model, "peft_config") else None})


def size(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def test_qwen_7b_has_as_many_parameters_as_its_card_says(seven: Shape):
    assert seven.parameters == 7_615_616_512


def test_adapters_of_the_7b_are_counted_as_peft_makes_them(seven: Shape):
    config = transformers.AutoConfig.from_pretrained(str(QWEN_7B))
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
        lora = peft.LoraConfig(r=32, target_modules="all-linear", task_type="CAUSAL_LM")
        model = peft.get_peft_model(model, lora)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == seven.adapter_parameters(32)


def test_weights_gradients_and_optimizer_take_the_planned_bytes(model: Any, small: Shape):
    plan = memory_plan(small, one_gpu(model))
    if not hasattr(model, "peft_config"):
        model.float()  # as `llm_start.py` loads it
    assert size(model.state_dict().values()) == plan.weights
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    tokens = torch.zeros((1, 8), dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16):
        model(tokens, labels=tokens).loss.backward()
    optimizer.step()
    assert size(p.grad for p in trained) == plan.gradients
    moments = [t for s in optimizer.state.values() for name, t in s.items() if name != "step"]
    assert size(moments) == plan.optimizer


def test_a_block_keeps_the_planned_bytes_for_its_backward_pass(model: Any, small: Shape):
    rank = RANK if hasattr(model, "peft_config") else None
    inner = model.get_base_model().model if rank else model.model
    batch, length = 2, 128
    kept: dict[int, Any] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def give_back(tensor: Any) -> Any:
        return tensor

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor

    x = torch.zeros((batch, length, small.hidden), dtype=torch.bfloat16, requires_grad=True)
    turns = inner.rotary_emb(x, torch.arange(length)[None])
    with (
        torch.autocast("cpu", torch.bfloat16),
        torch.autograd.graph.saved_tensors_hooks(keep, give_back),
    ):
        inner.layers[0](x, position_embeddings=turns, attention_mask=None)
    measured = sum(storage.nbytes() for storage in kept.values())
    planned = batch * length * small.layer_bytes(rank)
    # What no token adds to: turned positions, and adapters cast to bfloat16.
    assert planned <= measured <= 1.15 * planned


def test_a_cached_token_takes_the_planned_bytes(model: Any, small: Shape):
    with torch.no_grad():
        cache = model(torch.zeros((1, 10), dtype=torch.long), use_cache=True).past_key_values
    assert size(t for layer in cache.layers for t in (layer.keys, layer.values)) == (
        10 * small.cache_bytes()
    )


@pytest.mark.parametrize("name", PLANNED)
def test_a_shipped_configuration_leaves_a_tenth_of_each_gpu_free(name: str, seven: Shape):
    plan = memory_plan(seven, load_llm_config(name))
    assert plan.total < 0.9 * GPU_BYTES
    assert plan.cache > plan.cache_needed


def test_sharding_takes_what_it_shards_from_each_gpu(seven: Shape):
    eight = load_llm_config("qwen7b-full-8gpu")
    three = memory_plan(seven, eight)
    two = memory_plan(seven, eight.model_copy(update={"deepspeed": "deepspeed-zero2.json"}))
    assert two.weights == 8 * three.weights
    assert (two.gradients, two.optimizer) == (three.gradients, three.optimizer)


@pytest.mark.parametrize("change", [{"devices": 0}, {"dtype": "float32"}, {"grpo": None}])
def test_a_plan_of_something_else_is_refused(change: dict[str, Any], seven: Shape):
    config = load_llm_config("qwen7b-lora-1gpu").model_copy(update=change)
    with pytest.raises(ConfigError, match="qwen7b-lora-2gpu"):
        memory_plan(seven, config)


def test_what_is_no_model_is_refused_by_its_name(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "no-such-model"}')
    with pytest.raises(DataFileError, match=r"config\.json"):
        model_shape(path)


def test_the_page_holds_the_plan(repository: Path):
    page = (repository / "docs" / "llm-training.md").read_text(encoding="utf-8")
    assert memory_table() in page, "python -m conductor_gym.agents.llm_memory makes it anew"
