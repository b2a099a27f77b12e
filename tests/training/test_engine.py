"""The DeepSpeed engine: exact resume, frozen groups, several workers, and no compiler."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stickers.models.unet import VideoUNet
from stickers.training.engine import DeepSpeedEngine, EngineSettings
from stickers.training.loop import PlainEngine
from stickers.training.lora import add_lora

WORKER = Path(__file__).with_name("sharded_worker.py")
ROOT = Path(__file__).parents[2]

spec = importlib.util.spec_from_file_location("sharded_worker", WORKER)
assert spec and spec.loader
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def distance(weights: dict[str, torch.Tensor], reference: dict[str, torch.Tensor]) -> float:
    """The distance between two trainings' results, as a share of the reference's way from the start."""
    start = worker.tiny_unet().state_dict()
    apart = sum(float((weights[name] - reference[name]).square().sum()) for name in reference)
    way = sum(float((start[name] - reference[name]).square().sum()) for name in reference)
    return (apart / way) ** 0.5


def settings(**changes: object) -> EngineSettings:
    return EngineSettings(batch_size=worker.BATCH, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("zero_stage", "precision", "ema_decay"),
    [(0, "fp32", None), (1, "bf16", None), (0, "fp32", 0.9), (1, "bf16", 0.9)],
)
def test_resume_gives_bit_identical_weights(
    tmp_path: Path, zero_stage: int, precision: str, ema_decay: float | None
) -> None:
    chosen = settings(zero_stage=zero_stage, precision=precision, ema_decay=ema_decay)
    straight = DeepSpeedEngine(worker.tiny_unet(), chosen)
    worker.train(straight, range(3))
    straight.save(tmp_path, 3)
    worker.train(straight, range(3, 5))
    resumed = DeepSpeedEngine(worker.tiny_unet(), chosen)
    assert resumed.load(tmp_path) == 3
    worker.train(resumed, range(3, 5))
    expected, resumed_weights = straight.state_dict(), resumed.state_dict()
    assert all(torch.equal(expected[name], resumed_weights[name]) for name in expected)


def test_the_result_is_the_average_of_weights() -> None:
    """By hand, with a decay that rises from 1 / 10 to 0.25."""
    engine = DeepSpeedEngine(worker.tiny_unet(), settings(precision="fp32", zero_stage=0, ema_decay=0.25))
    average = engine.state_dict()
    for step, decay in enumerate((0.1, 2 / 11, 0.25, 0.25)):
        worker.train(engine, range(step, step + 1))
        current = {name: p.detach() for name, p in engine.network.named_parameters()}
        average = {name: decay * average[name] + (1 - decay) * current[name] for name in current}
    result = engine.state_dict()
    assert all(torch.allclose(result[name], value, atol=1e-7) for name, value in average.items())
    assert any(not torch.equal(result[name], value) for name, value in current.items())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_adapters_train_alone_and_are_merged_in_the_end(tmp_path: Path, precision: str) -> None:
    network = worker.tiny_unet()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    add_lora(network, rank=2, seed=1)
    engine = DeepSpeedEngine(network, settings(precision=precision))
    worker.train(engine, range(3))
    merged = engine.state_dict()
    moved = {name for name, value in merged.items() if not torch.equal(value, before[name])}
    assert set(merged) == set(before)
    assert moved and all(".transformer_blocks." in name and "to_" in name for name in moved)
    engine.save(tmp_path, 3)
    again = worker.tiny_unet()
    add_lora(again, rank=2, seed=1)
    resumed = DeepSpeedEngine(again, settings(precision=precision))
    assert resumed.load(tmp_path) == 3
    assert all(torch.equal(value, merged[name]) for name, value in resumed.state_dict().items())
    if precision == "fp32":
        plain = worker.tiny_unet()
        plain.load_state_dict(merged)
        z = torch.randn(2, 3, 8, 4, 4)
        inputs = (z, torch.tensor([5]), torch.ones(2, 2, 8), z[:, 0])
        with torch.no_grad():
            assert torch.allclose(plain(*inputs), network(*inputs), atol=1e-5)


def test_recomputed_activations_give_the_same_gradients() -> None:
    gradients = []
    for recompute in (False, True):
        network = worker.tiny_unet().train()
        if recompute:
            network.enable_gradient_checkpointing()
        z = torch.randn(2, 3, 8, 4, 4, generator=torch.Generator().manual_seed(0))
        network(z, torch.tensor([5]), torch.ones(2, 2, 8), z[:, 0]).square().mean().backward()
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    assert all(torch.allclose(gradients[0][name], value, atol=1e-6) for name, value in gradients[1].items())


def test_fp32_follows_plain_adamw() -> None:
    plain = PlainEngine(worker.tiny_unet(), weight_decay=0.01, gradient_clip=1.0)
    sharded = DeepSpeedEngine(worker.tiny_unet(), settings(precision="fp32", zero_stage=1))
    assert worker.train(sharded, range(3)) == pytest.approx(worker.train(plain, range(3)), rel=1e-4)
    assert distance(sharded.state_dict(), plain.model.state_dict()) < 0.01


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_group_with_zero_rate_keeps_every_bit(precision: str) -> None:
    engine = DeepSpeedEngine(worker.tiny_unet(), settings(precision=precision))
    worker.train(engine, range(2), spatial_lr=0.0)
    before, after = worker.tiny_unet().state_dict(), engine.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("temporal" in name for name in changed)


@pytest.mark.parametrize(("zero_stage", "precision"), [(0, "fp32"), (1, "bf16")])
def test_exported_folder_loads_as_a_unet(tmp_path: Path, zero_stage: int, precision: str) -> None:
    engine = DeepSpeedEngine(worker.tiny_unet(), settings(zero_stage=zero_stage, precision=precision))
    engine.export_unet(tmp_path)
    loaded = VideoUNet.from_pretrained(tmp_path, local_files_only=True, use_safetensors=True)
    before = worker.tiny_unet().state_dict()
    assert all(torch.equal(before[name], value) for name, value in loaded.state_dict().items())


@pytest.mark.long
@pytest.mark.parametrize("zero_stage", [2, 3])
def test_two_workers_without_a_compiler(tmp_path: Path, zero_stage: int) -> None:
    """Two gloo workers, nothing on the path to compile with: they resume exactly and train what one worker trains."""
    bare = {
        "PATH": str(tmp_path),
        "PYTHONPATH": str(ROOT / "platform"),
        "TORCH_EXTENSIONS_DIR": str(tmp_path / "ext"),
    }
    environment = {**os.environ, **bare}
    processes = [
        subprocess.Popen(
            [sys.executable, WORKER, str(rank), "2", str(zero_stage), "fp32", str(tmp_path)],
            env={**environment, "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    assert not (tmp_path / "ext").exists(), "something was compiled"
    resumed = weights(tmp_path / "resumed")
    if zero_stage < 3:
        straight = weights(tmp_path / "straight")
        assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    alone = DeepSpeedEngine(worker.tiny_unet(), settings(precision="fp32", ema_decay=0.9))
    worker.train(alone, range(4))
    assert distance(resumed, alone.state_dict()) < 0.01
    if zero_stage < 3:
        with pytest.raises(ValueError, match="written by 2 workers, it cannot be resumed by 1"):
            alone.load(tmp_path / "checkpoint")


def test_unsuitable_settings_are_one_sentence() -> None:
    with pytest.raises(ValueError, match="a batch of 4 cannot be dealt evenly to 3 workers"):
        settings().deepspeed(3)
    with pytest.raises(ValueError, match="zero_stage must be 0, 1, 2 or 3, got 4"):
        settings(zero_stage=4).deepspeed(1)
    with pytest.raises(ValueError, match="use zero_stage 1 or more"):
        settings(zero_stage=0).deepspeed(1)
