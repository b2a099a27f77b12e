"""Articulated sticker characters, drawn as vectors: the toy world's stand-in for a team's own art.

A character is a `Look` (who it is: colours, ears, tail, proportions) in a `Pose` (where its parts are). Every part is
a capsule or an ellipse; the white die-cut outline is the union of the same parts, inflated, so it follows each limb.
Coordinates are fractions of the canvas, y down; angles are radians, positive turns a limb outwards.
"""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

SUPERSAMPLING = 3
OUTLINE = 0.022
SCALE = 0.95  # leaves room for a jump, a kick and a sway inside the canvas
INK = (45, 35, 50)
WHITE = (255, 255, 255)

#: ears, tail and colour by subject: what tells the twelve apart; robot and chick differ in colour alone
SUBJECTS: dict[str, tuple[str, str, tuple[int, int, int]]] = {
    "cat": ("pointed", "long", (242, 153, 74)),
    "dog": ("floppy", "short", (176, 124, 84)),
    "bear": ("round", "stub", (140, 92, 60)),
    "rabbit": ("tall", "stub", (222, 200, 214)),
    "fox": ("pointed", "bushy", (226, 96, 44)),
    "frog": ("bulging", "none", (96, 178, 84)),
    "panda": ("round", "stub", (235, 235, 240)),
    "mouse": ("huge", "long", (160, 160, 172)),
    "robot": ("antenna", "none", (112, 156, 188)),
    "chick": ("tuft", "none", (250, 210, 70)),
    "alien": ("stalks", "none", (150, 110, 200)),
    "dragon": ("horns", "spiked", (64, 160, 140)),
}
ACCENTS = ((220, 60, 70), (60, 110, 210), (40, 150, 90), (240, 180, 40), (160, 80, 190), (30, 170, 190))

Point = tuple[float, float]
Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Look:
    """One individual of a subject: everything about a sticker that does not move."""

    subject: str
    body: Colour
    accent: Colour
    plump: float
    head: float
    limb: float

    @staticmethod
    def draw(subject: str, rng: np.random.Generator) -> "Look":
        """A random individual of `subject` (one of `SUBJECTS`)."""
        base = np.array(SUBJECTS[subject][2]) + rng.integers(-22, 23, 3)
        red, green, blue = (int(v) for v in np.clip(base, 20, 245))
        accent = ACCENTS[int(rng.integers(len(ACCENTS)))]
        plump, head, limb = rng.uniform((0.9, 0.92, 0.9), (1.15, 1.1, 1.15))
        return Look(
            subject=subject,
            body=(red, green, blue),
            accent=accent,
            plump=float(plump),
            head=float(head),
            limb=float(limb),
        )


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where the parts are; all zero is the rest pose that every still shows."""

    dx: float = 0.0
    dy: float = 0.0
    lean: float = 0.0
    stretch: float = 0.0
    head_tilt: float = 0.0
    head_drop: float = 0.0
    arm_left: float = 0.0
    arm_right: float = 0.0
    leg_left: float = 0.0
    leg_right: float = 0.0
    lift_left: float = 0.0
    lift_right: float = 0.0
    tail: float = 0.0
    mouth: float = 0.0
    eyes: float = 0.0
    mood: float = 0.0
    tears: float = 0.0


class Canvas:
    """Collects parts in body coordinates, then paints outline and fill with one transform."""

    def __init__(self, pose: Pose, size: int, outline: float = OUTLINE) -> None:
        self.outline = outline
        self.pose, self.size, self.pixels = pose, size, size * SUPERSAMPLING
        self.parts: list[tuple[str, list[Point], float, Colour, bool]] = []

    def capsule(self, points: list[Point], radius: float, colour: Colour, outlined: bool = True) -> None:
        """Add a line through `points` with round ends, `radius` thick to each side."""
        self.parts.append(("capsule", points, radius, colour, outlined))

    def ellipse(
        self, centre: Point, rx: float, ry: float, colour: Colour, turn: float = 0.0, outlined: bool = True
    ) -> None:
        """Add an ellipse with the radii `rx` and `ry`, turned by `turn` radians."""
        ring = [
            (
                centre[0] + rx * cos(a) * cos(turn) - ry * sin(a) * sin(turn),
                centre[1] + rx * cos(a) * sin(turn) + ry * sin(a) * cos(turn),
            )
            for a in (2 * pi * i / 20 for i in range(20))
        ]
        self.polygon(ring, colour, outlined)

    def polygon(self, points: list[Point], colour: Colour, outlined: bool = True) -> None:
        """Add a filled polygon."""
        self.parts.append(("polygon", points, 0.0, colour, outlined))

    def _transform(self, point: Point) -> Point:
        """Body to canvas: stretch about the feet, lean about the hips, move."""
        pose, (x, y) = self.pose, point
        y = 0.9 + (y - 0.9) * (1 + pose.stretch)
        x = 0.5 + (x - 0.5) * (1 - 0.6 * pose.stretch)
        c, s = cos(pose.lean), sin(pose.lean)
        x, y = x - 0.5, y - 0.72
        across, down = 0.5 + c * x - s * y + pose.dx, 0.72 + s * x + c * y + pose.dy
        return (0.5 + (across - 0.5) * SCALE) * self.pixels, (0.49 + (down - 0.53) * SCALE) * self.pixels

    def _paint(self, draw: ImageDraw.ImageDraw, grow: float, colour: Colour | None) -> None:
        for kind, points, radius, part_colour, outlined in self.parts:
            if colour is not None and not outlined:
                continue
            placed = [self._transform(p) for p in points]
            fill = (*(colour or part_colour), 255)
            width = (radius + grow) * self.pixels
            if kind == "polygon":
                draw.polygon(placed, fill=fill)
                if grow:
                    draw.line(
                        [*placed, placed[0], placed[1]], fill=fill, width=round(2 * width), joint="curve"
                    )
                continue
            draw.line(placed, fill=fill, width=max(1, round(2 * width)), joint="curve")
            for x, y in (placed[0], placed[-1]):
                draw.ellipse((x - width, y - width, x + width, y + width), fill=fill)

    def render(self) -> np.ndarray:
        """The picture, uint8 RGBA `[size, size, 4]`."""
        image = Image.new("RGBA", (self.pixels, self.pixels), (255, 255, 255, 0))
        draw = ImageDraw.Draw(image)
        if self.outline:
            self._paint(draw, self.outline, WHITE)
        self._paint(draw, 0.0, None)
        return np.asarray(image.resize((self.size, self.size), Image.Resampling.BOX))


def two_bones(start: Point, angle: float, length: float, bend: float) -> list[Point]:
    """Two bones from `start`; `angle` is measured from straight down, `bend` is the elbow's."""
    x, y = start
    elbow = (x + sin(angle) * length * 0.5, y + cos(angle) * length * 0.5)
    return [
        start,
        elbow,
        (elbow[0] + sin(angle + bend) * length * 0.5, elbow[1] + cos(angle + bend) * length * 0.5),
    ]


def _ears(canvas: Canvas, look: Look, centre: Point, radius: float, tilt: float) -> None:
    kind = SUBJECTS[look.subject][0]

    def at(angle: float, reach: float) -> Point:
        return centre[0] + sin(angle + tilt) * radius * reach, centre[1] - cos(angle + tilt) * radius * reach

    for side in (-1, 1):
        if kind == "pointed":
            canvas.capsule([at(side * 0.75, 0.8), at(side * 0.62, 1.4)], radius * 0.2, look.body)
        elif kind == "floppy":
            canvas.capsule([at(side * 1.0, 0.9), at(side * 1.75, 1.25)], radius * 0.24, look.accent)
        elif kind in ("round", "huge"):
            size = radius * (0.34 if kind == "round" else 0.55)
            colour = INK if look.subject == "panda" else look.body
            canvas.ellipse(at(side * 0.8, 1.05), size, size, colour)
        elif kind == "tall":
            canvas.capsule([at(side * 0.4, 0.8), at(side * 0.3, 1.75)], radius * 0.2, look.body)
        elif kind == "bulging":
            canvas.ellipse(at(side * 0.6, 0.95), radius * 0.33, radius * 0.33, look.body)
        elif kind == "stalks":
            canvas.capsule([at(side * 0.4, 0.8), at(side * 0.5, 1.5)], radius * 0.08, look.body)
            canvas.ellipse(at(side * 0.5, 1.55), radius * 0.18, radius * 0.18, look.accent)
        elif kind == "horns":
            canvas.capsule([at(side * 0.6, 0.8), at(side * 0.85, 1.4)], radius * 0.14, look.accent)
    if kind in ("antenna", "tuft"):
        canvas.capsule([at(0.0, 0.9), at(0.15, 1.4)], radius * 0.09, look.accent)
        canvas.ellipse(at(0.15, 1.45), radius * 0.17, radius * 0.17, look.accent)


def _face(canvas: Canvas, pose: Pose, centre: Point, radius: float) -> None:
    c, s = cos(pose.head_tilt), sin(pose.head_tilt)

    def at(x: float, y: float) -> Point:
        return centre[0] + (c * x - s * y) * radius, centre[1] + (s * x + c * y) * radius

    openness = max(0.04, 0.26 * (1 - pose.eyes))
    for side in (-1, 1):
        canvas.ellipse(
            at(side * 0.4, -0.1), radius * 0.15, radius * openness, INK, pose.head_tilt, outlined=False
        )
        if abs(pose.mood) > 0.02:
            brow = pose.mood * 0.3
            canvas.capsule(
                [at(side * 0.22, -0.48 + brow), at(side * 0.6, -0.48 - brow)],
                radius * 0.06,
                INK,
                outlined=False,
            )
        if pose.tears > 0.03:
            drop = 0.15 + 0.75 * pose.tears
            canvas.capsule(
                [at(side * 0.45, 0.1), at(side * 0.55, drop)], radius * 0.13, (90, 170, 250), False
            )
    canvas.ellipse(
        at(0, 0.42), radius * 0.3, radius * (0.06 + 0.28 * pose.mouth), (150, 40, 60), pose.head_tilt, False
    )


def _tail(canvas: Canvas, look: Look, pose: Pose) -> None:
    kind = SUBJECTS[look.subject][1]
    reach = {"long": 0.26, "bushy": 0.22, "spiked": 0.24, "short": 0.14, "stub": 0.07, "none": 0.0}[kind]
    if reach:
        thick = {"bushy": 0.06, "stub": 0.05}.get(kind, 0.028)
        canvas.capsule(
            two_bones((0.56, 0.68), 1.9 + pose.tail, reach * 1.3, 0.5 + 0.5 * pose.tail), thick, look.accent
        )


def draw_character(look: Look, pose: Pose, size: int) -> np.ndarray:
    """Paint `look` in `pose`. Returns uint8 RGBA `[size, size, 4]`, transparent outside the white outline."""
    canvas = Canvas(pose, size)
    _tail(canvas, look, pose)
    width, limb = 0.125 * look.plump, 0.048 * look.limb
    for side, swing, lift in ((-1, pose.leg_left, pose.lift_left), (1, pose.leg_right, pose.lift_right)):
        hip = (0.5 + side * 0.07, 0.71 - 0.5 * lift)
        canvas.capsule(
            two_bones(hip, side * 0.2 + side * swing, 0.2 - 0.4 * lift, 0.0), limb * 1.1, look.body
        )
    canvas.ellipse((0.5, 0.62), width, 0.155, look.body)
    canvas.ellipse((0.5, 0.65), width * 0.62, 0.1, look.accent, outlined=False)
    for side, swing in ((-1, pose.arm_left), (1, pose.arm_right)):
        shoulder = (0.5 + side * width * 0.75, 0.535)
        canvas.capsule(two_bones(shoulder, side * (0.75 + swing), 0.24, side * 0.25), limb, look.body)
    radius = 0.165 * look.head
    centre = (0.5 + 0.12 * sin(pose.head_tilt), 0.37 + pose.head_drop)
    _ears(canvas, look, centre, radius, pose.head_tilt)
    canvas.ellipse(centre, radius * 1.08, radius, look.body, pose.head_tilt)
    _face(canvas, pose, centre, radius)
    return canvas.render()
