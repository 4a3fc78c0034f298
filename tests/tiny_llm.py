"""A tiny chat model with random weights for tests: Qwen2's architecture, SmolLM2's tokenizer."""

import shutil
from pathlib import Path
from typing import Any

from small_llm import small_llm

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def tiny_llm(folder: Path, seed: int = 0) -> Path:
    """Write the model into a folder; a second of a core.

    Args:
        folder: Made where it is not there.
        seed: Of the weights.
    """
    import torch
    import transformers

    library: Any = transformers
    maker: Any = torch
    source = small_llm()
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    tokenizer = library.AutoTokenizer.from_pretrained(str(folder))
    config = library.Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.5,
    )
    with maker.random.fork_rng():
        maker.manual_seed(seed)
        library.Qwen2ForCausalLM(config).save_pretrained(str(folder))
    return folder
