"""A training as values: a recipe with the inputs it starts from. It travels to any worker and knows no Ray.

The recipe says what changes the result by intent; the inputs (weights, data) change it too, so a run is named by the
digest of both: new votes make a new kept set, and that makes a new student beside the old one.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors import safe_open

import stickers
from stickers import store
from stickers.data.latents import LatentSet, weights_digest
from stickers.data.mixture import Mixture
from stickers.diffusion.prediction import Prediction
from stickers.diffusion.sampling import DISTILLED, SamplerSettings
from stickers.models.folders import load_text_encoder, load_unet
from stickers.training.distil import DistillationTask
from stickers.training.engine import EngineSettings, cast_inputs
from stickers.training.loop import Task
from stickers.training.objective import RecipeTask
from stickers.training.recipe import Distillation, Recipe

if TYPE_CHECKING:
    from stickers.models.unet import VideoUNet

FOLDERS = {"teacher": "teachers", "student": "students", "distilled": "distilled"}
ROOT = Path(stickers.__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One training.

    `unet` is the folder or URI of the network to start from (`config.json` and safetensors), `encoders` that of the
    autoencoder, text encoder and tokenizer; both may be names below `platform/foundations`. `sets` pairs dataset names
    with latent files. `prediction` and `settings` describe the finished network, `picture_size` is in pixels a side.
    """

    recipe: Recipe | Distillation
    role: Literal["teacher", "student", "distilled"]
    unet: str
    encoders: str
    sets: tuple[tuple[str, str], ...]
    prediction: Prediction
    settings: SamplerSettings
    picture_size: int

    @classmethod
    def of_recipe(cls, recipe: Recipe, *, foundations: str, sets: Mapping[str, str]) -> "TrainingJob":
        """A teacher's or student's job.

        Args:
            foundations: folder of the encoders; the recipe's foundation is a folder below it, a path or a URI.
            sets: latent files by dataset name, those that the recipe does not read included.

        Raises:
            ValueError: a dataset of the recipe is not among them.
        """
        if recipe.role == "foundation":
            raise ValueError(
                f"recipe {recipe.name!r} makes a foundation; experiments/pretrain.py trains those"
            )
        last, start = recipe.stages[-1], recipe.foundation
        elsewhere = "://" in start or start.startswith("/")
        return cls(
            recipe=recipe,
            role=recipe.role,
            unet=start if elsewhere else store.join(foundations, start),
            encoders=foundations,
            sets=_read_by(recipe, sets),
            prediction=last.prediction,
            settings=replace(recipe.sampler, num_frames=recipe.num_frames),
            picture_size=last.resolution,
        )

    @classmethod
    def of_distillation(
        cls, recipe: Distillation, student: store.Found, *, foundations: str, sets: Mapping[str, str]
    ) -> "TrainingJob":
        """The distillation of a finished student.

        Raises:
            ValueError: as in `of_recipe`, or it would train on other clips than the student was made for.
        """
        made_for = SamplerSettings(**student.record["settings"])
        asked = (recipe.resolution, recipe.num_frames, recipe.fps)
        learned = (student.record["picture_size"], made_for.num_frames, made_for.fps)
        if asked != learned:
            raise ValueError(
                "distillation {!r} asks for {} pixels, {} frames at {} fps; ".format(recipe.name, *asked)
                + "its student {!r} learned {} pixels, {} frames at {} fps".format(recipe.student, *learned)
            )
        return cls(
            recipe=recipe,
            role="distilled",
            unet=store.join(student.uri, "checkpoint"),
            encoders=foundations,
            sets=_read_by(recipe, sets),
            prediction=student.record["prediction"],
            settings=replace(
                DISTILLED,
                num_steps=recipe.student_steps,
                temperature=recipe.temperature,
                num_frames=made_for.num_frames,
                fps=made_for.fps,
            ),
            picture_size=recipe.resolution,
        )

    @cached_property
    def data(self) -> dict[str, str]:
        """Content hash of each latent file."""
        found = {}
        for name, uri in self.sets:
            with local_file(uri).open("rb") as stream:
                found[name] = file_digest(stream, lambda: blake2b(digest_size=6)).hexdigest()
        return found

    @cached_property
    def digest(self) -> str:
        """12 hexadecimal characters that change with the recipe, the weights to start from and the data."""
        parts = [self.recipe.digest(), weights_digest(network_folder(self.unet)), *sorted(self.data.items())]
        return blake2b(json.dumps(parts).encode(), digest_size=6).hexdigest()

    @property
    def folder(self) -> str:
        """Name of the run's folder."""
        return f"{self.recipe.name}-{self.digest}"

    def place(self, runs: str) -> str:
        return store.join(runs, FOLDERS[self.role], self.folder)

    def finished(self, runs: str) -> bool:
        return store.exists(store.join(self.place(runs), store.RECORD))

    def engine_settings(self) -> EngineSettings:
        recipe = self.recipe
        return EngineSettings(
            batch_size=recipe.batch_size,
            zero_stage=recipe.zero_stage,
            precision=recipe.precision,
            gradient_clip=recipe.gradient_clip,
            weight_decay=recipe.weight_decay if isinstance(recipe, Recipe) else 0.0,
        )

    def check(self) -> None:
        """Refuse what cannot be trained, before anything starts.

        Raises:
            ValueError: one sentence names the recipe and what does not fit.
        """
        recipe = self.recipe
        self.engine_settings().deepspeed(recipe.num_workers)
        config = json.loads((network_folder(self.unet) / "config.json").read_text())
        for name, uri in self.sets:
            what = f"recipe {recipe.name!r}, dataset {name!r}"
            check_fit(what, config, local_file(uri), self._sides())

    def _sides(self) -> set[int]:
        """Latent pixels a side that the recipe's resolutions ask for."""
        path = folder_of(self.encoders) / "autoencoder" / "config.json"
        if not path.exists():
            raise ValueError(f"recipe {self.recipe.name!r}: there is no autoencoder in {self.encoders}")
        config = json.loads(path.read_text())
        factor = int(config["patch_size"]) * 2 ** (len(config["block_out_channels"]) - 1)
        return {resolution // factor for resolution in resolutions(self.recipe)}

    def network(self) -> "VideoUNet":
        """The network to train, float32, in training mode."""
        return load_unet(network_folder(self.unet)).train()

    def task(self, model: "VideoUNet", device: torch.device) -> Task:
        """What `model`, the network or a wrapper called like it, is trained to do."""
        mixture = Mixture({name: LatentSet.load(local_file(uri)) for name, uri in self.sets})
        null_text_LD = load_text_encoder(folder_of(self.encoders)).encode([""])[0]
        if isinstance(self.recipe, Recipe):
            return RecipeTask(self.recipe, model, mixture, null_text_LD)
        teacher = self.network().to(device)
        if self.recipe.precision == "bf16":
            cast_inputs(teacher.to(torch.bfloat16), torch.bfloat16)
        return DistillationTask(self.recipe, model, teacher, mixture, null_text_LD, self.prediction)

    def record(self) -> dict[str, Any]:
        """What `record.json` says of the inputs."""
        return {
            "kind": FOLDERS[self.role],
            "name": self.recipe.name,
            "role": self.role,
            "recipe": asdict(self.recipe),
            "recipe_digest": self.recipe.digest(),
            "digest": self.digest,
            "foundation": self.unet,
            "data": self.data,
            "prediction": self.prediction,
            "settings": asdict(self.settings),
            "picture_size": self.picture_size,
        }


def training_name(ensemble: str, recipe: str) -> str:
    """What a training is called among those that are current (see `store.current`)."""
    return f"{ensemble}-{recipe}"


def _read_by(recipe: Recipe | Distillation, sets: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The latent files that a recipe reads, by dataset name."""
    if isinstance(recipe, Distillation):
        names = {recipe.dataset}
    else:
        names = {name for stage in recipe.stages for name, _ in stage.datasets}
    absent = sorted(names - sets.keys())
    if absent:
        known = ", ".join(sorted(sets)) or "none"
        raise ValueError(f"recipe {recipe.name!r}: there is no dataset {absent[0]!r}; prepared are: {known}")
    return tuple((name, sets[name]) for name in sorted(names))


def resolutions(recipe: Recipe | Distillation) -> set[int]:
    """Pixels a side that a recipe asks for."""
    return (
        {recipe.resolution}
        if isinstance(recipe, Distillation)
        else {stage.resolution for stage in recipe.stages}
    )


def check_fit(what: str, config: dict[str, Any], latents: Path, sides: Iterable[int]) -> None:
    """Refuse a network whose channels, text width or frame size are not the data's; only headers are read.

    Raises:
        ValueError: the first difference, in one sentence.
    """
    with safe_open(str(latents), "pt") as file:
        channels, height, width = file.get_slice("frames").get_shape()[1:]
        text_width = file.get_slice("texts").get_shape()[-1]
    pairs = [
        ("predicts latents of {} channels", config["out_channels"], channels),
        ("takes {} input channels (noisy and image latent)", config["in_channels"], 2 * channels),
        ("attends to text of width {}", config["cross_attention_dim"], text_width),
    ]
    for words, of_network, of_data in pairs:
        if of_network != of_data:
            raise ValueError(f"{what}: the network {words.format(of_network)}, the data have {of_data}")
    if {height, width} != set(sides):
        asked = ", ".join(f"{side}x{side}" for side in sorted(sides))
        raise ValueError(f"{what}: its resolution means latents of {asked}, the data have {height}x{width}")


def folder_of(name: str) -> Path:
    """A folder by path, URI, or name below `platform/foundations`; remote ones are fetched.

    Raises:
        ValueError: there is no such folder.
    """
    if "://" in name or Path(name).is_absolute():
        return Path(store.local_folder(name))
    for candidate in (ROOT / "platform" / "foundations" / name, ROOT / name):
        if candidate.is_dir():
            return candidate
    raise ValueError(f"there is no foundation {name!r} in {ROOT / 'platform' / 'foundations'}")


def network_folder(name: str) -> Path:
    """`folder_of` a network: ValueError when it holds no `config.json`."""
    folder = folder_of(name)
    if not (folder / "config.json").exists():
        raise ValueError(f"{name} is no network: config.json is missing")
    return folder


def local_file(uri: str) -> Path:
    """A local copy of a file, fetched with the folder it lies in. ValueError when it is absent."""
    folder, _, name = uri.rpartition("/")
    path = Path(store.local_folder(folder)) / name
    if not path.exists():
        raise ValueError(f"there is no file {uri}")
    return path
