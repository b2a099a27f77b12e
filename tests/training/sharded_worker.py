"""One of several gloo workers: trains a tiny UNet, resumes it, and writes what came out (run by test_engine.py)."""

import sys
from pathlib import Path

import torch
from torch import Tensor, distributed
from torch.nn.functional import mse_loss

from stickers.models.unet import VideoUNet
from stickers.training.engine import DeepSpeedEngine, EngineSettings

BATCH = 4


def tiny_unet() -> VideoUNet:
    torch.manual_seed(0)
    return VideoUNet(
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=8,
        norm_num_groups=4,
    )


def train(engine: DeepSpeedEngine, steps: range, *, spatial_lr: float = 1e-3) -> list[float]:
    """Gradient norms of some steps; a step's data depends on its number alone, each rank takes its rows."""
    norms = []
    for step in steps:
        z: Tensor = torch.randn(BATCH, 3, 8, 4, 4, generator=torch.Generator().manual_seed(step))
        z = z[engine.rank :: engine.world_size]
        output = engine.model(z, torch.tensor([step]), torch.ones(len(z), 2, 8), z[:, 0])
        loss = mse_loss(output.float(), z.flip(1))
        norms.append(engine.step(loss, {"spatial": spatial_lr, "temporal": 1e-3}))
    return norms


def main(rank: int, world_size: int, zero_stage: int, precision: str, folder: Path) -> None:
    torch.set_num_threads(1)
    store = distributed.FileStore(str(folder / "rendezvous"), world_size)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    settings = EngineSettings(batch_size=BATCH, zero_stage=zero_stage, precision=precision, ema_decay=0.9)  # type: ignore[arg-type]
    straight = DeepSpeedEngine(tiny_unet(), settings)
    train(straight, range(2))
    straight.save(folder / "checkpoint", 2)
    resumed = DeepSpeedEngine(tiny_unet(), settings)
    done = resumed.load(folder / "checkpoint")
    train(resumed, range(done, 4))
    resumed.export_unet(folder / "resumed")
    if zero_stage < 3:  # a ZeRO-3 engine cannot go on in a process where another one was made
        train(straight, range(2, 4))
        straight.export_unet(folder / "straight")
    distributed.barrier()  # a worker that leaves first takes the other's gloo threads down with it
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))
