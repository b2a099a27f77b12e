"""Make tiny foundations like the shipped ones, from nothing: `python experiments/pretrain.py`.

It draws collections, then trains the autoencoder and the CLIP text encoder on both domains without the held-out pairs,
then two text-to-image UNets on single frames. The video foundations are inflated from these and trained on the
*general* domain through multi-stage recipes. Each part is skipped when its result exists, so the command resumes part
by part.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, normalize
from transformers import CLIPConfig, CLIPModel, CLIPTextModel, CLIPTokenizer, PreTrainedTokenizerBase

from actors.screen import Bar, console
from experiments.cli.options import run_script
from recipes.toy.foundations import (
    AUTOENCODER,
    CLIP,
    COLLECTION_SIZES,
    IMAGE_UNETS,
    PICTURE_SIZE,
    RECIPES,
    SEED,
    TRUNK,
)
from recipes.toy.world import SUBJECTS, Look, render_still, words, write_captions, write_clip
from stickers.data.collections import list_collection
from stickers.data.encoding import canonical
from stickers.data.latents import LatentSet, encode_clips
from stickers.data.mixture import Mixture
from stickers.diffusion.schedule import NoiseSchedule
from stickers.errors import UserError
from stickers.models.autoencoder import RGBAAutoencoder
from stickers.models.folders import load_autoencoder, load_unet
from stickers.models.text import TextEncoder
from stickers.models.unet import VideoUNet
from stickers.models.weights import inflate, load_image_unet
from stickers.training.loop import PlainEngine, train
from stickers.training.objective import RecipeTask
from stickers.training.recipe import Recipe, sized
from stickers.video.reading import read_video


def collect(work: Path, processes: int) -> None:
    """Draw the videos of all trainings."""
    for name, size in COLLECTION_SIZES.items():
        folder = work / "videos" / name
        if (folder / "captions.csv").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(processes) as pool:
            write = partial(write_clip, str(folder), name, seed=SEED)
            write_captions(str(folder), list(pool.map(write, range(size), chunksize=16)))
        console.print(f"drew {size} videos of the {name} collection")


def clips(work: Path, name: str) -> Iterator[tuple[np.ndarray, float, str]]:
    """(canonical frames, fps, caption) of one drawn collection."""
    for row in list_collection(str(work / "videos" / name), name):
        frames, info = read_video(row.path)
        yield canonical(frames, PICTURE_SIZE), info.fps, row.caption


def pixels(work: Path) -> dict[str, list[tuple[Tensor, float, str]]]:
    """All drawn clips as uint8 tensors `[T, 4, S, S]`, decoded once and stored on disk."""
    path = work / "pixels.pt"
    if not path.exists():
        decoded = {
            name: [
                (torch.from_numpy(f).permute(0, 3, 1, 2).contiguous(), r, c) for f, r, c in clips(work, name)
            ]
            for name in COLLECTION_SIZES
        }
        torch.save(decoded, path)
    return torch.load(path, weights_only=True)


def run_steps(title: str, steps: int, lr: float, model: nn.Module, loss_at: Callable[[int], Tensor]) -> None:
    """Train with AdamW and a cosine decay, for the parts that are no video recipe."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.01)
    average = 0.0
    with Bar(title, steps, "steps") as bar:
        for step in range(steps):
            warm, decay = min(1.0, (step + 1) / 50), 0.5 * (1 + math.cos(math.pi * step / steps))
            for group in optimizer.param_groups:
                group["lr"] = lr * warm * max(0.02, decay)
            loss = loss_at(step)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            average = loss.item() if step == 0 else 0.98 * average + 0.02 * loss.item()
            bar.update(step + 1, f"loss {average:.4f}")


def train_autoencoder(work: Path, folder: Path) -> None:
    """Train on RGBA with L1 and a light KL term; latents are normalised by their measured mean and deviation."""
    torch.manual_seed(SEED)
    frames = torch.cat([f for collection in pixels(work).values() for f, _, _ in collection])
    model = RGBAAutoencoder(**AUTOENCODER["model"]).to(memory_format=torch.channels_last)
    dice = torch.Generator().manual_seed(SEED)

    def batch(size: int) -> Tensor:
        return frames[torch.randint(len(frames), (size,), generator=dice)].float() / 127.5 - 1

    def loss_at(_step: int) -> Tensor:
        real = batch(AUTOENCODER["batch_size"])
        latent = model.distribution(real)
        error = model.reconstruct(latent.sample()) - real
        return error.abs().mean() + 0.5 * error.square().mean() + AUTOENCODER["kl"] * latent.kl().mean()

    run_steps("autoencoder", AUTOENCODER["steps"], AUTOENCODER["lr"], model, loss_at)
    model.eval()
    with torch.no_grad():
        real = batch(512)
        latent = model.distribution(real).mode()
        error = mse_loss(model.reconstruct(latent).clamp(-1, 1), real)
    model.register_to_config(
        latent_mean=tuple(latent.mean((0, 2, 3)).tolist()), latent_std=tuple(latent.std((0, 2, 3)).tolist())
    )
    console.print(
        f"autoencoder: {10 * math.log10(4 / error.item()):.1f} dB PSNR over RGBA, {len(frames)} frames seen"
    )
    model.save_pretrained(folder / "autoencoder")


def train_text(work: Path, folder: Path) -> None:
    """Train CLIP on (clip, caption) pairs and keep its text tower.

    Its vision tower sees the eight frames of a clip as channels, so the words for motion come to mean something.
    """
    torch.manual_seed(SEED)
    tokenizer = CLIPTokenizer().train_new_from_iterator(
        [[text] for text in words.corpus()], vocab_size=CLIP["vocabulary"]
    )
    length = CLIP["text"]["max_position_embeddings"]
    config = _clip_config(tokenizer)
    model = CLIPModel(config)
    pairs = [
        (f[(np.arange(8) * max(1, min(round(r / 8), len(f) // 8)))].flatten(0, 1), c)
        for name in ("general", "artist")
        for f, r, c in pixels(work)[name]
    ]
    tokens = tokenizer(
        [c for _, c in pairs], padding="max_length", max_length=length, return_tensors="pt"
    ).input_ids
    _, same = torch.unique(tokens, dim=0, return_inverse=True)
    dice = torch.Generator().manual_seed(SEED)

    def loss_at(_step: int) -> Tensor:
        rows = torch.randint(len(pairs), (CLIP["batch_size"],), generator=dice)
        video = torch.stack([pairs[i][0] for i in rows.tolist()]).float() / 127.5 - 1
        video_embeddings = normalize(model.get_image_features(pixel_values=video).pooler_output, dim=-1)
        read = normalize(model.get_text_features(input_ids=tokens[rows]).pooler_output, dim=-1)
        logits = model.logit_scale.exp().clamp(max=50) * read @ video_embeddings.T
        positive = (same[rows][:, None] == same[rows][None]).float()
        targets = positive / positive.sum(1, keepdim=True)
        return (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2

    run_steps("CLIP", CLIP["steps"], CLIP["lr"], model, loss_at)
    text = CLIPTextModel(config.text_config)
    text.load_state_dict(
        {
            k.removeprefix("text_model."): v
            for k, v in model.state_dict().items()
            if k.startswith("text_model.")
        }
    )
    TextEncoder((tokenizer, text)).save(folder)


def _clip_config(tokenizer: PreTrainedTokenizerBase) -> CLIPConfig:
    """CLIP with the vocabulary of `tokenizer`."""
    text_config = {
        **CLIP["text"],
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return CLIPConfig(
        text_config=text_config, vision_config=CLIP["vision"], projection_dim=CLIP["projection"]
    )


def image_latents(work: Path, folder: Path) -> LatentSet:
    """Latents of single frames for text-to-image: general clips and resting characters."""
    rng = np.random.default_rng(SEED)
    stills = [
        (render_still(Look.draw(subject, rng), PICTURE_SIZE)[None], 1.0, f"a {subject}")
        for subject in SUBJECTS
        for _ in range(40)
    ]
    path = work / "image-latents.safetensors"
    if not path.exists():
        encode_clips(stills, load_autoencoder(folder), TextEncoder.load(folder), PICTURE_SIZE).save(path)
    return LatentSet.join([LatentSet.load(path), general_latents(work, folder)])


def general_latents(work: Path, folder: Path) -> LatentSet:
    """Latents of the general collection, encoded once."""
    path = work / "general-latents.safetensors"
    if not path.exists():
        autoencoder, text = load_autoencoder(folder), TextEncoder.load(folder)
        encode_clips(clips(work, "general"), autoencoder, text, PICTURE_SIZE).save(path)
    return LatentSet.load(path)


def train_image_unet(work: Path, folder: Path, name: str) -> None:
    """Train text to image by noise prediction on single frames."""
    torch.manual_seed(SEED)
    spec, latents, null = (
        IMAGE_UNETS[name],
        image_latents(work, folder),
        TextEncoder.load(folder).encode([""]),
    )
    model = UNet2DConditionModel(**spec["model"]).to(memory_format=torch.channels_last)
    schedule = NoiseSchedule.make(zero_terminal_snr=False)
    dice = torch.Generator().manual_seed(SEED)

    def loss_at(_step: int) -> Tensor:
        size = spec["batch_size"]
        video = torch.randint(len(latents), (size,), generator=dice)
        frame = latents.first[video] + (torch.rand(size, generator=dice) * latents.length[video]).long()
        clean = latents.frames[frame].float()
        noise = torch.randn(clean.shape, generator=dice)
        timestep = torch.randint(0, 1000, (size,), generator=dice)
        context = latents.texts[latents.text_of[video]].float()
        context = torch.where(torch.rand(size, generator=dice)[:, None, None] < 0.1, null, context)
        noisy = schedule.add_noise(clean, noise, timestep)
        return mse_loss(model(noisy, timestep, encoder_hidden_states=context).sample, noise)

    run_steps(f"text to image, {name}", spec["steps"], spec["lr"], model, loss_at)
    model.save_pretrained(folder / "image_unets" / name)


@dataclass(frozen=True)
class BarTracker:
    """A tracker that shows the loss beside a bar."""

    bar: Bar

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Show the loss beside the bar."""
        self.bar.update(step, f"loss {metrics['train/loss']:.4f}")


def train_video_unet(work: Path, target: Path, recipe: Recipe, folder: Path) -> None:
    """Train one video foundation on the *general* domain.

    It is inflated from an image UNet, or starts from the trunk, and runs through the recipe's stages.
    """
    torch.manual_seed(recipe.seed)
    if recipe.foundation == TRUNK.name:
        model = load_unet(trunk_folder(work))
    else:
        model = inflate(load_image_unet(target / recipe.foundation))
    model = model.train().to(memory_format=torch.channels_last)
    null = TextEncoder.load(target).encode([""])[0]
    task = RecipeTask(
        recipe, model, Mixture({sized("general", PICTURE_SIZE): general_latents(work, target)}), null
    )
    engine = PlainEngine(model, weight_decay=recipe.weight_decay, gradient_clip=recipe.gradient_clip)

    def save(_done: int) -> None:
        write_foundation(folder, model, recipe)

    with Bar(recipe.name, task.num_steps, "steps") as bar:
        train(task, engine, BarTracker(bar), save=save, save_every=task.num_steps)


def trunk_folder(work: Path) -> Path:
    """The folder of the unshipped video UNet from which both teacher foundations start."""
    return work / "trunk"


def write_foundation(folder: Path, model: VideoUNet, recipe: Recipe) -> None:
    """Write the weights, then the record of how they were made."""
    model.save_pretrained(folder, safe_serialization=True)
    record = {
        "name": recipe.name,
        "role": recipe.role,
        "recipe": asdict(recipe),
        "recipe_digest": recipe.digest(),
        "prediction": recipe.stages[-1].prediction,
        "settings": asdict(recipe.sampler),
        "picture_size": recipe.stages[-1].resolution,
    }
    (folder / "record.json").write_text(json.dumps(record, indent=2))


def main(
    work: Path = Path("runs/pretrain"),
    out: Path = Path("runs/pretrain/tiny"),
    only: Annotated[tuple[str, ...], tyro.conf.arg(help="parts to make; all when none is named")] = (),
    processes: int = 2,
) -> None:
    """Train the tiny foundations; a part whose result exists is left alone.

    Args:
        work: folder of drawn videos and latents.
        out: folder of the foundations; the shipped ones are in platform/foundations/tiny.
        processes: how many processes draw videos.
    """
    parts: dict[str, tuple[Path, Callable[[], None]]] = {
        "autoencoder": (out / "autoencoder", lambda: train_autoencoder(work, out)),
        "text": (out / "text_encoder", lambda: train_text(work, out)),
    }
    for name in IMAGE_UNETS:
        parts[name] = (out / "image_unets" / name, partial(train_image_unet, work, out, name))
    folders = {TRUNK.name: trunk_folder(work), **{r.name: out / "video_unets" / r.name for r in RECIPES}}
    for recipe in (TRUNK, *RECIPES):
        folder = folders[recipe.name]
        parts[recipe.name] = (folder, partial(train_video_unet, work, out, recipe, folder))
    unknown = [name for name in only if name not in parts]
    if unknown:
        raise UserError(f"there is no part {unknown[0]!r}; parts: {', '.join(parts)}")
    collect(work, processes)
    for name in only or parts:
        path, make = parts[name]
        if path.exists():
            console.print(f"{name}: exists, left alone")
            continue
        start = time.monotonic()
        make()
        console.print(f"{name}: done in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    run_script(main)
