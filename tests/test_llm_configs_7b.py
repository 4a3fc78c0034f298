"""Configurations for GPUs: what accelerate, DeepSpeed's loader and TRL make of them."""

from pathlib import Path
from typing import Any

import pytest

from conductor_gym.agents.llm_config import CONFIGS, LlmConfig, load_llm_config
from conductor_gym.agents.llm_memory import PLANNED, PROMPT_TOKENS

launch: Any = pytest.importorskip("accelerate.commands.launch")
loading: Any = pytest.importorskip("accelerate.commands.config.config_args")
deepspeed: Any = pytest.importorskip("accelerate.utils.deepspeed")


@pytest.fixture(params=PLANNED)
def config(request: pytest.FixtureRequest) -> LlmConfig:
    return load_llm_config(request.param)


def test_accelerate_starts_one_process_a_gpu(config: LlmConfig):
    assert config.accelerate is not None
    file = str(CONFIGS / config.accelerate)
    said = loading.load_config_from_file(file)
    assert said.num_processes == config.devices
    command = ["--config_file", file, "-m", "conductor_gym", "train", "llm", "--config", "x"]
    arguments = launch.launch_command_parser().parse_args(command)
    launch._validate_launch_command(arguments)
    assert (arguments.num_processes, arguments.multi_gpu) == (config.devices, config.devices > 1)
    assert (arguments.mixed_precision, arguments.use_cpu) == ("bf16", False)
    assert arguments.training_script_args == ["train", "llm", "--config", "x"]


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_files_shard_as_they_are_named_and_leave_batches_to_the_trainer(stage: int):
    said = deepspeed.HfDeepSpeedConfig(str(CONFIGS / f"deepspeed-zero{stage}.json"))
    assert (said.is_zero2(), said.is_zero3()) == (stage == 2, stage == 3)
    assert not said.is_offload()
    for name in ("gradient_accumulation_steps", "train_batch_size", "gradient_clipping"):
        assert said.get_value(name) == "auto"


def test_all_weights_of_a_7b_are_sharded_and_adapters_are_not(config: LlmConfig):
    assert (config.lora is None) == (config.deepspeed is not None)


def test_every_file_beside_the_configurations_is_used_or_told_of():
    used = {"model-qwen2.5-7b-instruct.json", "deepspeed-zero2.json"}  # the plan; docs
    for name in PLANNED:
        config = load_llm_config(name)
        used |= {file for file in (config.accelerate, config.deepspeed) if file is not None}
    assert {path.name for path in CONFIGS.iterdir() if path.suffix != ".toml"} == used


def test_one_step_is_that_of_the_paper_whatever_the_gpus(config: LlmConfig):
    """200 steps of 4 questions times 64 rollouts, no KL, as the paper says."""
    assert config.grpo is not None
    grpo = config.grpo
    assert (grpo.steps, grpo.groups, grpo.group_size, grpo.beta) == (200, 4, 64, 0.0)


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing:FutureWarning")  # TRL's own default
def test_trl_takes_the_stages_with_as_many_rollouts_as_are_asked_for(
    config: LlmConfig, tmp_path: Path
):
    trl: Any = pytest.importorskip("trl")
    from conductor_gym.agents.llm_grpo import grpo_arguments
    from conductor_gym.agents.llm_sft import shared_arguments

    assert config.grpo is not None
    assert config.sft is not None
    grpo = config.grpo
    on_cpu = config.model_copy(update={"devices": 0})  # of which there are none here

    class OnAllGpus(trl.GRPOConfig):
        world_size = property(lambda _: config.devices)

    arguments: Any = OnAllGpus(**grpo_arguments(on_cpu, grpo, tmp_path, seed=0))
    assert arguments.generation_batch_size == grpo.groups * grpo.group_size
    assert (arguments.use_vllm, arguments.vllm_mode) == (True, "colocate")
    assert arguments.vllm_gpu_memory_utilization == grpo.vllm_memory
    assert arguments.vllm_max_model_length >= PROMPT_TOKENS + grpo.max_tokens
    assert (arguments.max_steps, arguments.beta, arguments.bf16) == (200, 0.0, True)
    assert arguments.activation_checkpointing
    sft = trl.SFTConfig(**shared_arguments(on_cpu, config.sft, tmp_path, seed=0, steps=100))
    each = sft.per_device_train_batch_size * sft.gradient_accumulation_steps
    assert (each * config.devices, sft.bf16) == (64, True)
