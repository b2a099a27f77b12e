"""A training as plain values: a recipe and its inputs, which can be sent to any worker and do not depend on Ray.

A run is named by the digest of its recipe and its inputs (weights, data): new votes make a new kept set, and with it a
new student beside the old one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

import stickers
from stickers import storage
from stickers.artifacts.licences import LICENCES, named_collections
from stickers.data.latents import COLUMNS, LatentSet, shape_of, weights_digest
from stickers.data.mixture import Mixture
from stickers.data.motion_buckets import MotionBuckets
from stickers.diffusion.prediction import Prediction
from stickers.diffusion.sampling import DISTILLED, SamplerSettings
from stickers.errors import UserError
from stickers.models.folders import load_autoencoder, load_text_encoder, load_unet
from stickers.training.distil import DistillationTask
from stickers.training.engine import EngineSettings, cast_inputs
from stickers.training.estimate import Estimate, estimate
from stickers.training.loop import Task
from stickers.training.network import prepare_network
from stickers.training.objective import RecipeTask
from stickers.training.recipe import Distillation, Recipe, sized

if TYPE_CHECKING:
    from stickers.models.unet import VideoUNet

#: the folder below the runs folder in which latents of kept sets lie
KEPT_LATENTS = "kept-latents"
FOLDERS = {"teacher": "teachers", "student": "students", "distilled": "distilled"}
#: videos whose scores are checked before a training by motion starts
CHECKED_FOR_MOTION = 10_000
ROOT = Path(stickers.__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One training.

    `unet` is the folder or URI of the network to start from (`config.json` and safetensors), `encoders` that of the
    autoencoder, text encoder and tokenizer; both may be names below `platform/foundations`. `sets` pairs dataset names
    with latent files. `prediction` and `settings` describe the finished network, `picture_size` is in pixels a side.
    `own_encoders` is that of the encoders where they are the network's own and not the project's.
    """

    recipe: Recipe | Distillation
    role: Literal["teacher", "student", "distilled"]
    unet: str
    encoders: str
    sets: tuple[tuple[str, str], ...]
    prediction: Prediction
    settings: SamplerSettings
    picture_size: int
    own_encoders: str = ""

    @classmethod
    def of_recipe(cls, recipe: Recipe, *, foundations: str, sets: Mapping[str, str]) -> "TrainingJob":
        """A teacher's or student's job.

        Args:
            foundations: folder of the encoders; the recipe's foundation is a folder below it, a path or a URI.
            sets: latent files by dataset name; the recipe need not read all of them.

        Raises:
            UserError: a dataset of the recipe is missing.
        """
        if recipe.role == "foundation":
            raise UserError(
                f"recipe {recipe.name!r} makes a foundation; experiments/pretrain.py trains those"
            )
        last = recipe.stages[-1]
        return cls(
            recipe=recipe,
            role=recipe.role,
            unet=foundation_of(recipe, recipe.encoders or foundations),
            encoders=recipe.encoders or foundations,
            sets=_read_by(recipe, sets),
            prediction=last.prediction,
            settings=replace(recipe.sampler, num_frames=recipe.num_frames),
            picture_size=last.resolution,
            own_encoders=recipe.encoders,
        )

    @classmethod
    def of_distillation(
        cls, recipe: Distillation, student: storage.Artifact, *, foundations: str, sets: Mapping[str, str]
    ) -> "TrainingJob":
        """The distillation of a finished student.

        Raises:
            UserError: as in `of_recipe`, or the clips differ in size, number of frames or rate from the student's.
        """
        student_settings = SamplerSettings.of(student.record["settings"], student.uri)
        requested = (recipe.resolution, recipe.num_frames, recipe.fps)
        learned = (student.record["picture_size"], student_settings.num_frames, student_settings.fps)
        if requested != learned:
            raise UserError(
                "distillation {!r} asks for {} pixels, {} frames at {} fps; ".format(recipe.name, *requested)
                + "its student {!r} learned {} pixels, {} frames at {} fps".format(recipe.student, *learned)
            )
        own_encoders = student.record.get("own_encoders", "")
        return cls(
            recipe=recipe,
            role="distilled",
            unet=storage.join(student.uri, "checkpoint"),
            encoders=own_encoders or foundations,
            sets=_read_by(recipe, sets),
            prediction=student.record["prediction"],
            settings=replace(
                DISTILLED,
                num_steps=recipe.student_steps,
                temperature=recipe.temperature,
                num_frames=student_settings.num_frames,
                fps=student_settings.fps,
            ),
            picture_size=recipe.resolution,
            own_encoders=own_encoders,
        )

    @cached_property
    def data(self) -> dict[str, str]:
        """Content hash of each latent file."""
        return {name: data_digest(uri) for name, uri in self.sets}

    @cached_property
    def inputs(self) -> list[str]:
        """The artifacts that the sets belong to, each as `kind/folder`."""
        return sorted({artifact for _, uri in self.sets for artifact in artifacts_behind(uri)})

    @cached_property
    def digest(self) -> str:
        """12 hexadecimal characters that change with the recipe, the weights to start from and the data."""
        parts = [self.recipe.digest(), weights_digest(network_folder(self.unet)), *sorted(self.data.items())]
        return blake2b(json.dumps(parts).encode(), digest_size=6).hexdigest()

    @property
    def folder(self) -> str:
        """Name of the run's folder."""
        return f"{self.recipe.name}-{self.digest}"

    def run_uri(self, runs: str) -> str:
        """The folder of the run below the runs folder."""
        return storage.join(runs, FOLDERS[self.role], self.folder)

    def finished(self, runs: str) -> bool:
        """True once the run has its record."""
        return storage.exists(storage.join(self.run_uri(runs), storage.RECORD))

    def engine_settings(self) -> EngineSettings:
        """The recipe's settings of the engine; a distillation has no weight decay, average or offload."""
        recipe = self.recipe
        return EngineSettings(
            batch_size=recipe.batch_size,
            zero_stage=recipe.zero_stage,
            precision=recipe.precision,
            gradient_clip=recipe.gradient_clip,
            weight_decay=recipe.weight_decay if isinstance(recipe, Recipe) else 0.0,
            ema_decay=recipe.ema_decay if isinstance(recipe, Recipe) else None,
            offload=recipe.offload if isinstance(recipe, Recipe) else "none",
        )

    def check(self) -> None:
        """Refuse a job that cannot be trained, before anything starts.

        Raises:
            UserError: the recipe and the first mismatch.
        """
        recipe = self.recipe
        self.engine_settings().deepspeed(recipe.num_workers)
        config = network_config(self.unet)
        factor, latents = latent_factor(self.encoders), self.latents()
        for name, latent_set in latents.items():
            side = int(name.rpartition("@")[2]) // factor
            check_fit(f"recipe {recipe.name!r}, dataset {name!r}", config, latent_set, side)
        for stage in recipe.stages if isinstance(recipe, Recipe) else ():
            if stage.buckets:
                for name, _ in stage.datasets:
                    subject = f"recipe {recipe.name!r}, dataset {name!r}"
                    latent_set = latents[sized(name, stage.resolution)]
                    check_buckets(subject, latent_set, stage.buckets, recipe.num_frames)

    def estimate(self) -> Estimate | None:
        """Memory and cost of the training; None for a distillation, which holds its teacher too and is not counted."""
        if isinstance(self.recipe, Distillation):
            return None
        return estimate(self.recipe, network_config(self.unet), latent_factor(self.encoders))

    def latents(self, device: torch.device | None = None) -> dict[str, LatentSet]:
        """The sets that the recipe reads; uncached frames are encoded on `device`."""
        autoencoder = load_autoencoder(folder_of(self.encoders)).to(device or "cpu")
        return {name: LatentSet.load(uri, autoencoder) for name, uri in self.sets}

    def network(self) -> "VideoUNet":
        """The network to train, float32, in training mode, prepared for the recipe."""
        network = load_unet(network_folder(self.unet)).train()
        if isinstance(self.recipe, Recipe):
            prepare_network(network, self.recipe)
        return network

    def task(self, model: "VideoUNet", device: torch.device) -> Task:
        """The loss and learning rates of `model`, which is the network or a wrapper with its arguments."""
        mixture = Mixture(self.latents(device))
        null_text_LD = load_text_encoder(folder_of(self.encoders)).encode([""])[0]
        if isinstance(self.recipe, Recipe):
            return RecipeTask(self.recipe, model, mixture, null_text_LD)
        teacher = self.network().to(device)
        if self.recipe.precision == "bf16":
            cast_inputs(teacher.to(torch.bfloat16), torch.bfloat16)
        return DistillationTask(self.recipe, model, teacher, mixture, null_text_LD, self.prediction)

    def record(self) -> dict[str, Any]:
        """The part of `record.json` that describes the inputs."""
        return {
            "kind": FOLDERS[self.role],
            "name": self.recipe.name,
            "role": self.role,
            "recipe": asdict(self.recipe),
            "recipe_digest": self.recipe.digest(),
            "digest": self.digest,
            "foundation": self.unet,
            "own_encoders": self.own_encoders,
            "data": self.data,
            "inputs": self.inputs,
            "prediction": self.prediction,
            "settings": asdict(self.settings),
            "picture_size": self.picture_size,
        }


def data_digest(uri: str) -> str:
    """Content hash of a latent file: 12 hexadecimal characters."""
    with open(storage.local_file(uri), "rb") as stream:
        return file_digest(stream, lambda: blake2b(digest_size=6)).hexdigest()


def artifacts_behind(uri: str) -> list[str]:
    """The artifacts that a latent file below a runs folder belongs to, as `kind/folder`; none for one elsewhere.

    Latents of a kept set lie in a folder of their own, which may be cleaned away, so the kept set is named beside it;
    latents of all candidates name the plan, too.
    """
    runs, kind, folder = uri.rsplit("/", 3)[:3] if uri.count("/") > 2 else ("", "", "")
    behind = [f"{kind}/{folder}"] if kind in ("latents", KEPT_LATENTS, "kept") else []
    if kind == KEPT_LATENTS:
        record = storage.read_record(storage.join(runs, kind, folder))
        behind.append(f"kept/{record['kept']}")
        if record["set"] == "all":
            kept = storage.read_record(storage.join(runs, "kept", record["kept"]))
            behind.append(f"plans/{kept['plan_id']}")
    return behind


def licences_behind(job: TrainingJob, runs: str, foundation: str) -> dict[str, str]:
    """The licences of everything that a training learns from, by who brought it.

    Args:
        runs: the runs folder with the job's inputs.
        foundation: the licence of the network that its chain starts from.
    """
    licences = {"foundation": foundation}
    start = [job.unet.rpartition("/")[0]] if job.role == "distilled" else []
    for uri in [*(storage.join(runs, name) for name in job.inputs), *start]:
        if not storage.exists(storage.join(uri, storage.RECORD)):
            continue
        record = storage.read_record(uri)
        stated = record.get(LICENCES, {})
        if uri.rsplit("/", 2)[1] == "latents":
            stand_ins = record.get("stand_ins", {})
            names = {name.rpartition("@")[0] for name, _ in job.sets}
            sources = {stand_ins.get(name, name) for name in names}
            stated = named_collections({name: stated.get(name, "") for name in sorted(sources)})
        licences |= stated
    return licences


def training_name(ensemble: str, recipe: str) -> str:
    """The name of a training among the current ones (see `storage.current`)."""
    return f"{ensemble}-{recipe}"


def foundation_of(recipe: Recipe, foundations: str) -> str:
    """The folder or URI of the network that a recipe starts from."""
    elsewhere = "://" in recipe.foundation or recipe.foundation.startswith("/")
    return recipe.foundation if elsewhere else storage.join(foundations, recipe.foundation)


def latent_factor(encoders: str) -> int:
    """Pixels along one side of a latent pixel. UserError when the autoencoder is missing."""
    path = folder_of(encoders) / "autoencoder" / "config.json"
    if not path.exists():
        raise UserError(f"there is no autoencoder in {encoders}")
    config = json.loads(path.read_text())
    return int(config["patch_size"]) * 2 ** (len(config["block_out_channels"]) - 1)


def _read_by(recipe: Recipe | Distillation, sets: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The latent files that a recipe reads, by dataset name and resolution."""
    if isinstance(recipe, Distillation):
        names = {sized(recipe.dataset, recipe.resolution)}
    else:
        names = {sized(name, stage.resolution) for stage in recipe.stages for name, _ in stage.datasets}
    absent = sorted(names - sets.keys())
    if absent:
        prepared = ", ".join(sorted(sets)) or "none"
        raise UserError(
            f"recipe {recipe.name!r}: there is no dataset {absent[0]!r}; prepared are: {prepared}"
        )
    return tuple((name, sets[name]) for name in sorted(names))


def check_fit(subject: str, config: dict[str, Any], latents: LatentSet, side: int) -> None:
    """Refuse a network whose channels, text width or frame size differ from the data's; only headers are read.

    Messages begin with `subject`.

    Raises:
        UserError: the first difference, in one sentence.
    """
    channels, height, width = shape_of(latents.frames)[1:]
    pairs = [
        ("predicts latents of {} channels", config["out_channels"], channels),
        ("takes {} input channels (noisy and image latent)", config["in_channels"], 2 * channels),
        (
            "attends to text of width {}",
            config["cross_attention_dim"] + (config.get("t5_dim") or 0),
            shape_of(latents.texts)[-1],
        ),
    ]
    for words, of_network, of_data in pairs:
        if of_network != of_data:
            raise UserError(f"{subject}: the network {words.format(of_network)}, the data have {of_data}")
    if (height, width) != (side, side):
        raise UserError(
            f"{subject}: its resolution means latents of {side}x{side}, the data have {height}x{width}"
        )


def check_buckets(subject: str, latents: LatentSet, buckets: MotionBuckets, num_frames: int) -> None:
    """Refuse motion buckets where videos permit only one rate or lack the score.

    Messages begin with `subject`.

    Raises:
        UserError: the videos are too short or have no such score.
    """
    longest = int(latents.length.max())
    if longest <= num_frames:
        raise UserError(
            f"{subject}: its videos have {longest} frames or fewer, so {num_frames} frames can be sampled at one rate "
            "only; motion buckets need longer videos (section 3.1.1)"
        )
    if latents.track is None:
        raise UserError(f"{subject}: it knows no motion scores; prepare it again for motion buckets")
    for index in range(min(len(latents), CHECKED_FOR_MOTION)):
        if latents.tracked(index)[:, COLUMNS[buckets.score]].isnan().any():
            raise UserError(
                f"{subject}: video {index} of {len(latents)} has no {buckets.score} score (motion vectors are H.264's "
                "alone); bucket by vmaf"
            )


def folder_of(name: str) -> Path:
    """A folder by path, URI, or name below `platform/foundations`; remote ones are downloaded.

    Raises:
        UserError: the folder does not exist.
    """
    if "://" in name or Path(name).is_absolute():
        return Path(storage.local_folder(name))
    for candidate in (ROOT / "platform" / "foundations" / name, ROOT / name):
        if candidate.is_dir():
            return candidate
    raise UserError(f"there is no foundation {name!r} in {ROOT / 'platform' / 'foundations'}")


def network_folder(name: str) -> Path:
    """`folder_of` a network: UserError when it holds no `config.json`."""
    folder = folder_of(name)
    if not (folder / "config.json").exists():
        raise UserError(f"{name} is no network: config.json is missing")
    return folder


def network_config(name: str) -> dict[str, Any]:
    """A network's `config.json`. UserError as `network_folder`."""
    config: dict[str, Any] = json.loads((network_folder(name) / "config.json").read_text())
    return config
