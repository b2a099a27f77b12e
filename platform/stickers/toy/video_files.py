"""The toy world's video files, as untidy as real collections are.

Four collections, after the paper's section 2.2: *general* (the natural videos), *artist* (few, good, with alpha and
careful captions, yet a fifth of it jitters or flips between two frames), *keyword* and *neighbours* (more, worse:
sped up, slowed down, wrongly captioned, moved in bulk). Each file depends on its seed and index alone, so any number
of processes may write any part of a collection.
"""

import csv
from dataclasses import dataclass, replace
from math import pi
from pathlib import Path

import numpy as np

from stickers.toy import words
from stickers.toy.characters import SUBJECTS, Look
from stickers.toy.motions import Mode, render_motion
from stickers.toy.objects import BULK_MOTIONS, Thing, render_thing
from stickers.toy.puppets import PUPPET_MOTIONS, Puppet, render_puppet
from stickers.video.codec import write_video

COLLECTIONS = ("general", "artist", "keyword", "neighbours")
SIZES = (48, 64, 80, 96)
FPS = (8, 10, 12, 15, 24, 30)


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How badly a collection behaves: the share of its clips with each fault.

    `key_pose` collections are made for stickers: halfway through, a clip passes through the pose that the pack's static
    sticker shows. Other videos catch their subject anywhere.
    """

    warped_speed: float
    jitter: float
    flip_flop: float
    bulk: float
    noisy_caption: float
    key_pose: bool = False


HABITS = {
    "artist": Habits(warped_speed=0.0, jitter=0.1, flip_flop=0.1, bulk=0.0, noisy_caption=0.0, key_pose=True),
    "keyword": Habits(warped_speed=0.3, jitter=0.12, flip_flop=0.08, bulk=0.12, noisy_caption=0.35),
    "neighbours": Habits(warped_speed=0.35, jitter=0.15, flip_flop=0.05, bulk=0.3, noisy_caption=0.5),
}


def clip_name(collection: str, index: int, *, matte: bool) -> str:
    """The file's name; files with alpha are PNG-coded MOV, the others H.264 MP4."""
    return f"{collection}-{index:05d}.{'mov' if matte else 'mp4'}"


def has_matte(collection: str, index: int) -> bool:
    """Artists deliver alpha; of the general things two in three have a matte; the rest is plain video."""
    return collection == "artist" or (collection == "general" and index % 3 != 0)


def _times(rng: np.random.Generator, habits: Habits, fps: int) -> np.ndarray:
    """When each frame is drawn, in the motion's own seconds: here speed, jitter and flip-flop go wrong."""
    seconds = np.arange(round(float(rng.uniform(1.0, 3.2)) * fps)) / fps
    seconds = seconds[: max(8, len(seconds))] if len(seconds) >= 8 else np.arange(8) / fps
    if rng.random() < habits.warped_speed:
        seconds = seconds * float(rng.choice((0.4, 2.5)))
    if rng.random() < habits.jitter:
        seconds = seconds + rng.normal(0, 0.15, len(seconds))
    if rng.random() < habits.flip_flop:
        seconds = np.where(np.arange(len(seconds)) % 2 == 0, seconds[0], seconds[0] + 0.35)
    return seconds


def _sticker_clip(collection: str, index: int, rng: np.random.Generator) -> tuple[np.ndarray, int, str]:
    habits = HABITS[collection]
    pairs = words.pairs(held=False)
    subject, motion = pairs[(index * 37 + 11 * COLLECTIONS.index(collection)) % len(pairs)]
    fps, size = int(rng.choice(FPS)), int(rng.choice(SIZES))
    seconds = _times(rng, habits, fps)
    look, mode = Look.draw(subject, rng), Mode.draw(rng)
    if habits.key_pose:
        halfway = -2 * pi * mode.hz * float(seconds[len(seconds) // 2])
        mode = replace(mode, phase=halfway + float(rng.normal(0, 0.15)))
    if rng.random() < habits.bulk:
        frames = _bulk(look, mode, seconds, size)
    else:
        frames = render_motion(look, motion, mode, seconds, size)
    noisy = rng.random() < habits.noisy_caption
    caption = words.noisy_caption(subject, motion, rng) if noisy else words.prompt(subject, motion, rng)
    return frames, fps, caption


def _bulk(look: Look, mode: Mode, seconds: np.ndarray, size: int) -> np.ndarray:
    """A still sticker shifted as a whole: what lazy animations do."""
    still = render_motion(look, "float", Mode(amplitude=0.0), np.zeros(1), size)[0]
    shifts = np.round(0.12 * size * mode.direction * np.sin(2 * pi * mode.hz * seconds + mode.phase)).astype(
        int
    )
    return np.stack([np.roll(still, shift, axis=1) for shift in shifts])


def _general_clip(index: int, rng: np.random.Generator) -> tuple[np.ndarray, int, str]:
    """Two in five are rigid things that move in bulk, the rest are jointed puppets; both start anywhere in their
    motion and move at more speeds and sizes than a sticker may."""
    matte, fps, size = has_matte("general", index), int(rng.choice(FPS)), int(rng.choice(SIZES))
    seconds = np.arange(max(8, round(float(rng.uniform(1.0, 2.5)) * fps))) / fps
    mode = Mode.draw(rng, amplitudes=(0.6, 1.3), hz=(0.5, 1.2))
    if index % 5 < 2:
        thing, motion = Thing.draw(rng, matte=matte), str(rng.choice(BULK_MOTIONS))
        frames = render_thing(thing, motion, mode, seconds, size)
        return frames, fps, words.thing_caption(thing.texture, thing.shape, motion)
    puppet, motion = Puppet.draw(rng, matte=matte), str(rng.choice(PUPPET_MOTIONS))
    frames = render_puppet(puppet, motion, mode, seconds, size)
    return frames, fps, words.puppet_caption(puppet.bands, puppet.kind, motion, rng)


def _on_solid(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put RGBA frames on one pale colour: a file without alpha has to have some background."""
    colour = rng.integers(170, 256, 3)
    alpha = frames[..., 3:].astype(np.float32) / 255
    frames = frames.copy()
    frames[..., :3] = (frames[..., :3] * alpha + colour * (1 - alpha)).round()
    frames[..., 3] = 255
    return frames


def write_clip(folder: str, collection: str, index: int, seed: int) -> dict[str, str]:
    """Draw and write one file of a collection.

    Returns:
        Its row of `captions.csv`: file, caption.
    """
    rng = np.random.default_rng([seed, COLLECTIONS.index(collection), index])
    matte = has_matte(collection, index)
    make = _general_clip(index, rng) if collection == "general" else _sticker_clip(collection, index, rng)
    frames, fps, caption = make
    if not matte:
        frames = _on_solid(frames, rng)
    name = clip_name(collection, index, matte=matte)
    write_video(str(Path(folder) / name), frames, fps)
    return {"file": name, "caption": caption}


def write_broken_files(folder: str) -> list[dict[str, str]]:
    """The files every real collection has: truncated, empty, not a video, too short, and one that is absent.

    Returns:
        Their rows of `captions.csv`; the last names a file that does not exist.
    """
    root = Path(folder)
    look = Look.draw(next(iter(SUBJECTS)), np.random.default_rng(0))
    frames = render_motion(look, "wave", Mode(), np.arange(12) / 8, 48)
    intact = root / "broken-whole.mp4"
    write_video(str(intact), frames, 8)
    (root / "broken-truncated.mp4").write_bytes(intact.read_bytes()[: intact.stat().st_size // 3])
    intact.unlink()
    (root / "broken-empty.mp4").write_bytes(b"")
    (root / "broken-text.mp4").write_text("this is not a video\n")
    write_video(str(root / "broken-short.mp4"), frames[:5], 8)
    names = ("truncated", "empty", "text", "short", "absent")
    return [{"file": f"broken-{name}.mp4", "caption": "a cat waving"} for name in names]


def write_captions(folder: str, rows: list[dict[str, str]]) -> None:
    """Write `captions.csv` (file, caption), the table a user's own folder has as well."""
    with (Path(folder) / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file", "caption"])
        writer.writeheader()
        writer.writerows(rows)
