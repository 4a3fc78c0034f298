"""A model's last layer is one product for all rows: its weights are not copied for each of them."""

from pathlib import Path
from typing import Any

import pytest
from tiny_llm import tiny_llm

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
ROWS = 4


@pytest.mark.parametrize("part", ["answering", "training"])
def test_logits_of_the_last_tokens_are_one_product(part: str, tmp_path: Path) -> None:
    from torch.profiler import ProfilerActivity, profile

    folder = tiny_llm(tmp_path / "tiny")
    model = _answering(folder) if part == "answering" else _training(folder)
    words = model.get_output_embeddings().out_features
    tokens = torch.arange(ROWS * 6).reshape(ROWS, 6) % words
    with (
        torch.inference_mode(),
        profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen,
    ):
        told = model(input_ids=tokens, logits_to_keep=1).logits
        whole = model(input_ids=tokens).logits[:, -1:]
    assert torch.allclose(told.float(), whole.float(), atol=1e-2)
    events: Any = seen.key_averages(group_by_input_shape=True)
    products: list[Any] = [
        event.input_shapes
        for event in events
        if event.key in ("aten::mm", "aten::bmm", "aten::addmm")
        and any(words in shape for shape in event.input_shapes)
    ]
    assert products
    assert max(len(shape) for shapes in products for shape in shapes) == 2


def _answering(folder: Path) -> Any:
    from conductor_gym.live.decoding import ChatModel

    return ChatModel(str(folder), "float32").model


def _training(folder: Path) -> Any:
    pytest.importorskip("peft")
    from conductor_gym.agents.llm_config import LlmConfig, Lora, Sft
    from conductor_gym.agents.llm_start import find_start, load_start

    sft = Sft(episodes=1, learning_rate=1e-3, device_batch=1)
    config = LlmConfig(summary="a test", lora=Lora(), sft=sft, dtype="float32")
    return load_start(find_start(str(folder)), config, 0)
