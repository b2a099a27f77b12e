"""The general domain's jointed things: mannequins that move like living beings and look like no sticker.

Natural videos are full of limbs. A model that has seen these knows how a jointed body runs or waves; it knows neither
faces nor outlines, nor that a sticker stays centred and starts from its picture.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import cos, pi, sin

import numpy as np
from PIL import Image

from stickers.toy.characters import Canvas, Colour, Point, two_bones
from stickers.toy.motions import Mode, natural_pose_at
from stickers.toy.objects import behind, cloud, random_colour

OUTLINES: dict[str, list[Point]] = {
    "puppet": [(cos(2 * pi * i / 16), sin(2 * pi * i / 16)) for i in range(16)],
    "mannequin": [(-0.9, -1.0), (0.9, -1.0), (0.9, 1.0), (-0.9, 1.0)],
    "scarecrow": [(0.0, -1.1), (1.0, 0.9), (-1.0, 0.9)],
    "doll": [(-0.6, -1.0), (0.6, -1.0), (1.0, 0.2), (0.7, 1.0), (-0.7, 1.0), (-1.0, 0.2)],
}
PUPPETS = tuple(OUTLINES)
BANDS = ("plain", "striped", "banded")
PUPPET_MOTIONS = ("wave", "jump", "run", "kick", "dance", "cheer", "stomp", "sway", "float", "swell")


@dataclass(frozen=True, kw_only=True)
class Puppet:
    """One individual: its kind decides head and torso, its proportions vary more than any sticker's do."""

    kind: str
    bands: str
    colours: tuple[Colour, Colour, Colour]
    backdrop: np.ndarray | None
    torso: tuple[float, float]
    head: float
    thick: float
    arm: float
    offset: tuple[float, float]

    @staticmethod
    def draw(rng: np.random.Generator, *, matte: bool) -> "Puppet":
        """A random puppet; with `matte` it has no backdrop."""
        first, second, third = (random_colour(rng) for _ in range(3))
        wide, tall, head, thick, arm = (
            float(v) for v in rng.uniform((0.08, 0.12, 0.09, 0.035, 0.2), (0.16, 0.19, 0.19, 0.07, 0.28))
        )
        return Puppet(
            kind=str(rng.choice(PUPPETS)),
            bands=str(rng.choice(BANDS)),
            colours=(first, second, third),
            backdrop=None if matte else cloud(rng, 3, 96),
            torso=(wide, tall),
            head=head,
            thick=thick,
            arm=arm,
            offset=(float(rng.uniform(-0.08, 0.08)), float(rng.uniform(-0.05, 0.04))),
        )


def _banded_limb(canvas: Canvas, puppet: Puppet, points: list[Point]) -> None:
    first, second, _ = puppet.colours
    canvas.capsule(points, puppet.thick, first)
    if puppet.bands == "plain":
        return
    parts = 2 if puppet.bands == "banded" else 4
    for start, end in pairwise(points):
        for i in range(parts // 2):
            low, high = (2 * i + 1) / parts, (2 * i + 1.6) / parts
            band = [
                (start[0] + (end[0] - start[0]) * f, start[1] + (end[1] - start[1]) * f) for f in (low, high)
            ]
            canvas.capsule(band, puppet.thick * 0.7, second)


def _outline(kind: str, centre: Point, wide: float, tall: float, turn: float) -> list[Point]:
    """A head or torso: round, square, pointed or tapered."""
    c, s = cos(turn), sin(turn)
    return [
        (centre[0] + c * x * wide - s * y * tall, centre[1] + s * x * wide + c * y * tall)
        for x, y in OUTLINES[kind]
    ]


def _frame(puppet: Puppet, motion: str, mode: Mode, seconds: float, size: int) -> np.ndarray:
    pose = natural_pose_at(motion, mode, seconds)
    pose = replace(pose, dx=pose.dx + puppet.offset[0], dy=pose.dy + puppet.offset[1])
    canvas = Canvas(pose, size, outline=0.0)
    first, second, third = puppet.colours
    wide, tall = puppet.torso
    for side, swing, lift in ((-1, pose.leg_left, pose.lift_left), (1, pose.leg_right, pose.lift_right)):
        hip = (0.5 + side * wide * 0.55, 0.71 - 0.5 * lift)
        _banded_limb(canvas, puppet, two_bones(hip, side * 0.2 + side * swing, 0.2 - 0.4 * lift, 0.0))
    canvas.polygon(_outline(puppet.kind, (0.5, 0.62), wide, tall, 0.0), third)
    if puppet.bands != "plain":
        canvas.polygon(_outline("mannequin", (0.5, 0.62), wide * 0.8, tall * 0.2, 0.0), second)
    for side, swing in ((-1, pose.arm_left), (1, pose.arm_right)):
        shoulder = (0.5 + side * wide * 0.8, 0.62 - tall * 0.6)
        _banded_limb(canvas, puppet, two_bones(shoulder, side * (0.75 + swing), puppet.arm, side * 0.25))
    centre = (0.5 + 0.12 * sin(pose.head_tilt), 0.62 - tall - puppet.head * 0.7 + pose.head_drop)
    canvas.polygon(_outline(puppet.kind, centre, puppet.head, puppet.head, pose.head_tilt), first)
    canvas.polygon(
        _outline("mannequin", centre, puppet.head * 0.7, puppet.head * 0.25, pose.head_tilt), second
    )
    return canvas.render()


def render_puppet(puppet: Puppet, motion: str, mode: Mode, seconds: np.ndarray, size: int) -> np.ndarray:
    """Draw `puppet` at the given times (seconds, `[T]`). Returns uint8 RGBA `[T, size, size, 4]`."""
    frames = []
    for t in seconds:
        frame = _frame(puppet, motion, mode, float(t), size)
        if puppet.backdrop is not None:
            back = behind(puppet.backdrop, mode, float(t), size)
            frame = np.asarray(Image.alpha_composite(back, Image.fromarray(frame)))
        frames.append(frame)
    return np.stack(frames)
