"""Adapters merged into a model and taken out again, without wearing its weights off.

TRL merges adapters in place to hand vLLM new weights, and subtracts them afterwards. In bfloat16
that rounds twice each time: the frozen weights wander away from those that the adapters are saved
for.
"""

from typing import Any

import torch


def merges_exactly(model: Any) -> None:
    """Make a PEFT model's `unmerge_adapter` give back the very weights that were merged into.

    They are copied to the CPU's memory at the first merge: as many bytes as all adapted layers.

    Args:
        model: With LoRA adapters, none of them merged.
    """
    layers = [m for m in model.modules() if hasattr(m, "base_layer") and hasattr(m, "unmerge")]
    originals: list[torch.Tensor] = []
    merge, unmerge = model.merge_adapter, model.unmerge_adapter

    def merge_adapter(*args: Any, **options: Any) -> None:
        if not originals:
            on_gpu = torch.cuda.is_available()
            for layer in layers:
                copy = layer.base_layer.weight.detach().to("cpu", copy=True)
                originals.append(copy.pin_memory() if on_gpu else copy)
        merge(*args, **options)

    def unmerge_adapter() -> None:
        unmerge()
        for layer, original in zip(layers, originals, strict=True):
            layer.base_layer.weight.data.copy_(original)

    model.merge_adapter, model.unmerge_adapter = merge_adapter, unmerge_adapter
