"""Handing merged weights to vLLM leaves the weights that are trained as they were."""

from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")
peft: Any = pytest.importorskip("peft")
transformers: Any = pytest.importorskip("transformers")

# PEFT asks transformers for a name that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")


@pytest.fixture
def model() -> Any:
    """A small Qwen2 in bfloat16, with adapters that change it."""
    config = transformers.Qwen2Config(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=256,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        lora = peft.LoraConfig(
            r=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False
        )
        return peft.get_peft_model(made, lora)


def weights(model: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(before: dict[str, Any], model: Any) -> list[str]:
    return [n for n, tensor in model.state_dict().items() if not torch.equal(before[n], tensor)]


def test_merging_and_unmerging_leaves_every_bit(model: Any):
    from conductor_gym.agents.llm_merge import merges_exactly

    before = weights(model)
    merges_exactly(model)
    for _ in range(3):
        model.merge_adapter()
        assert len(changed(before, model)) == 2 * 7  # what vLLM is handed has the adapters in it
        model.unmerge_adapter()
        assert changed(before, model) == []


def test_a_merge_after_more_training_holds_the_new_adapters(model: Any):
    from conductor_gym.agents.llm_merge import merges_exactly

    merges_exactly(model)
    layer = model.get_base_model().model.layers[0].mlp.up_proj
    model.merge_adapter()
    model.unmerge_adapter()
    with torch.no_grad():
        layer.lora_B["default"].weight.mul_(3)
    plain = layer.base_layer.weight.float()
    model.merge_adapter()
    told = layer.base_layer.weight.float() - plain
    expected = layer.get_delta_weight("default").detach()
    assert torch.allclose(told, expected, atol=0.01 * float(expected.abs().max()))


def test_without_it_peft_wears_the_weights_off(model: Any):
    """The day this fails, `llm_merge.py` can go."""
    before = weights(model)
    model.merge_adapter()
    model.unmerge_adapter()
    assert changed(before, model) != []
