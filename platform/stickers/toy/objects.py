"""The general domain: rigid textured things that move in bulk, with or without a matte, before panning textures.

It stands for the 35 million natural videos of the paper (section 2.2): plenty of motion, none of it a sticker's. A
model that knows this domain alone bobs and turns a character as a whole, which is the gap that teachers must close.
"""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

from stickers.toy.motions import Mode

OBJECTS = ("ball", "box", "star", "leaf", "ring", "cross", "drop", "kite")
TEXTURES = ("plain", "striped", "dotted", "checked", "marbled")
BULK_MOTIONS = ("slide", "bounce", "spin", "zoom", "rock", "drift")


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A textured object and, unless it has a matte, the texture behind it."""

    shape: str
    texture: str
    colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    backdrop: np.ndarray | None
    size: float
    turn: float

    @staticmethod
    def draw(rng: np.random.Generator, *, matte: bool) -> "Thing":
        """A random thing; with `matte` it has no backdrop."""
        first, second = (random_colour(rng) for _ in range(2))
        return Thing(
            shape=str(rng.choice(OBJECTS)),
            texture=str(rng.choice(TEXTURES)),
            colours=(first, second),
            backdrop=None if matte else cloud(rng, 3, 96),
            size=float(rng.uniform(0.4, 0.62)),
            turn=float(rng.uniform(0, 2 * pi)),
        )


def random_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Any colour but the extremes."""
    red, green, blue = (int(v) for v in rng.integers(10, 246, 3))
    return red, green, blue


def cloud(rng: np.random.Generator, grain: int, pixels: int) -> np.ndarray:
    """Smooth coloured noise, uint8 `[pixels, pixels, 3]`."""
    coarse = Image.fromarray(rng.integers(30, 226, (grain + 2, grain + 2, 3)).astype(np.uint8))
    return np.asarray(coarse.resize((pixels, pixels), Image.Resampling.BICUBIC))


def _texture(thing: Thing, pixels: int) -> Image.Image:
    y, x = np.mgrid[0:pixels, 0:pixels] / pixels
    pattern = {
        "plain": np.zeros_like(x),
        "striped": np.sin(2 * pi * 4 * x),
        "dotted": np.cos(2 * pi * 4 * x) + np.cos(2 * pi * 4 * y) - 0.8,
        "checked": np.sin(2 * pi * 3 * x) * np.sin(2 * pi * 3 * y),
        "marbled": np.sin(9 * x + 5 * np.sin(7 * y)),
    }[thing.texture]
    first, second = (np.array(c, dtype=np.uint8) for c in thing.colours)
    return Image.fromarray(np.where(pattern[..., None] > 0, first, second))


def _outline(shape: str) -> list[tuple[float, float]]:
    """The shape's outline about the origin, within the unit circle."""
    turns = [2 * pi * i / 40 for i in range(40)]
    if shape == "box":
        return [(-0.75, -0.75), (0.75, -0.75), (0.75, 0.75), (-0.75, 0.75)]
    if shape == "cross":
        a, b = 0.3, 0.95
        return [
            (-a, -b),
            (a, -b),
            (a, -a),
            (b, -a),
            (b, a),
            (a, a),
            (a, b),
            (-a, b),
            (-a, a),
            (-b, a),
            (-b, -a),
            (-a, -a),
        ]
    if shape == "kite":
        return [(0, -1), (0.65, -0.2), (0, 1), (-0.65, -0.2)]
    if shape == "star":
        return [
            ((1 if i % 2 else 0.45) * sin(pi * i / 5), (1 if i % 2 else 0.45) * cos(pi * i / 5))
            for i in range(10)
        ]
    if shape == "leaf":
        return [(0.5 * sin(t) * abs(sin(t)), -cos(t)) for t in turns]
    if shape == "drop":
        return [(0.7 * sin(t) * (1 - cos(t)) / 2 * 1.3, -cos(t)) for t in turns]
    return [(0.9 * cos(t), 0.9 * sin(t)) for t in turns]


def _sprite(thing: Thing, pixels: int) -> Image.Image:
    mask = Image.new("L", (pixels, pixels), 0)
    draw = ImageDraw.Draw(mask)
    half = pixels / 2
    draw.polygon(
        [(half + x * half * 0.96, half + y * half * 0.96) for x, y in _outline(thing.shape)], fill=255
    )
    if thing.shape == "ring":
        draw.ellipse((half * 0.6, half * 0.6, half * 1.4, half * 1.4), fill=0)
    image = _texture(thing, pixels).convert("RGBA")
    image.putalpha(mask)
    return image


def _placement(motion: str, mode: Mode, seconds: float) -> tuple[float, float, float, float]:
    """Offset x and y (fractions of the canvas), turn (radians) and zoom at one time."""
    angle = 2 * pi * mode.hz * seconds + mode.phase
    swing, rise = mode.amplitude * mode.direction * sin(angle), mode.amplitude * (1 - cos(angle)) / 2
    return {
        "slide": (0.2 * swing, 0.0, 0.0, 1.0),
        "bounce": (0.05 * swing, -0.26 * rise + 0.1, 0.0, 1.0),
        "spin": (0.0, 0.0, mode.direction * angle, 1.0),
        "zoom": (0.0, 0.0, 0.0, 1 + 0.3 * swing),
        "rock": (0.05 * swing, 0.0, 0.6 * swing, 1.0),
        "drift": (0.14 * swing, 0.14 * mode.amplitude * cos(angle), 0.0, 1.0),
    }[motion]


def render_thing(thing: Thing, motion: str, mode: Mode, seconds: np.ndarray, size: int) -> np.ndarray:
    """Draw `thing` at the given times (seconds, `[T]`). Returns uint8 RGBA `[T, size, size, 4]`."""
    pixels = size * 2
    sprite = _sprite(thing, pixels)
    frames = []
    for t in seconds:
        x, y, turn, zoom = _placement(motion, mode, float(t))
        scale = 1 / (thing.size * zoom)
        c, s = scale * cos(turn + thing.turn), scale * sin(turn + thing.turn)
        cx, cy, half = pixels * (0.5 + x), pixels * (0.5 + y), pixels / 2
        affine = (c, s, half - c * cx - s * cy, -s, c, half + s * cx - c * cy)
        frame = sprite.transform((pixels, pixels), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
        if thing.backdrop is not None:
            frame = Image.alpha_composite(behind(thing.backdrop, mode, float(t), pixels), frame)
        frames.append(np.asarray(frame.resize((size, size), Image.Resampling.BOX)))
    return np.stack(frames)


def behind(backdrop: np.ndarray, mode: Mode, seconds: float, pixels: int) -> Image.Image:
    """The panning texture: it wraps, one width in about six seconds."""
    shift = round(seconds * mode.hz * mode.direction * len(backdrop) / 4)
    image = Image.fromarray(np.roll(backdrop, shift, axis=1)).convert("RGBA")
    return image.resize((pixels, pixels), Image.Resampling.BILINEAR)
