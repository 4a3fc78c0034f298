"""The 7B's configurations and architecture, at a small random width, through all of training."""

from pathlib import Path
from typing import Any

import pytest
import tomli_w
from small_llm import small_llm
from typer.testing import CliRunner

from conductor_gym.agents.llm_config import load_llm_config
from conductor_gym.agents.llm_memory import QWEN_7B
from conductor_gym.cli import app

torch: Any = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")
pytest.importorskip("trl")
pytest.importorskip("peft")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen2.5-7B's architecture, 2 blocks of width 64, with another tokenizer's vocabulary."""
    folder = tmp_path_factory.mktemp("narrow")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(small_llm()))
    config = transformers.AutoConfig.from_pretrained(str(QWEN_7B))
    config.update(
        {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "layer_types": ["full_attention"] * 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        }
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["qwen7b-lora-2gpu"])  # all weights: test_llm_training.py
def test_both_stages_run_as_configured_for_gpus(name: str, narrow: Path, tmp_path: Path):
    config = load_llm_config(name).model_dump(mode="json", exclude_none=True)
    config |= {"devices": 0}
    for file in ("accelerate", "deepspeed"):
        config.pop(file, None)
    told = {name: value for name, value in config["language"].items() if value is not None}
    config["language"] = told | {"query_characters": 100}
    config["sft"] |= {
        "teachers": ["divide"],
        "episodes": 8,
        "dev_episodes": 4,
        "device_batch": 4,
        "accumulation": 1,
    }
    config["grpo"] |= {
        "engine": "transformers",
        "steps": 1,
        "groups": 2,
        "group_size": 2,
        "device_batch": 2,
        "accumulation": 2,
        "reply_tokens": 2,
        "max_tokens": 64,
    }
    path = tmp_path / "narrow.toml"
    path.write_bytes(tomli_w.dumps(config).encode())
    arguments = ["--model", str(narrow), "--config", str(path), "--models", str(tmp_path / "made")]
    result = CliRunner().invoke(app, ["train", "llm", "--track", "standard", *arguments])
    assert result.exit_code == 0, result.output
    made = next((tmp_path / "made").rglob("curve.png")).parent
    written = {file.name for file in made.iterdir()}
    assert "card.json" in written
    assert ("adapter_model.safetensors" in written) == ("lora" in config)
