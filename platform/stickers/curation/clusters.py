"""Pictures that are nearly the same fall into one part of a split: a held-out clock face is no test beside its twin.

Pictures are alike when small thumbnails of them are, as they are or mirrored, over white and over black (on white
alone a white swan is like a white cloud). What is alike by pixels or by kind is joined, in chains, to clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

#: pixels a side; a hat, a beard or the time of a clock stays visible
THUMBNAIL_SIDE = 12
#: Root mean square difference, of 1 at most, below which two pictures are alike. Set by eye on 1,852 subjects: clock
#: faces, moods of one smiley, men in the same clothes are joined, a fox and a dog are not.
ALIKE = 0.12
CHANNEL_MAX = 255
DIGEST_BYTES = 8


@dataclass(frozen=True)
class Shares:
    """How much of a collection its parts take; what is neither of these two is held out."""

    train: float = 0.80
    validation: float = 0.06


TRAIN, VALIDATION, HELD_OUT = PARTS = ("train", "validation", "held-out")


def thumbnail(picture: Image.Image) -> np.ndarray:
    """A picture's `THUMBNAIL_SIDE`² pixels, uint8 RGBA `[S, S, 4]` with colours multiplied by alpha."""
    small = picture.convert("RGBA").convert("RGBa").resize((THUMBNAIL_SIDE,) * 2, Image.Resampling.BOX)
    return np.asarray(small)


def differences(thumbnails_NSSC: np.ndarray) -> np.ndarray:
    """How far pictures differ from each other, `[N, N]`, 0 to about 1: over their area, mirrored where that is nearer.

    The sums are of whole numbers, so every machine finds the same.
    """
    grounds, area = _over_grounds(thumbnails_NSSC), _area(thumbnails_NSSC)
    mirrored = _over_grounds(thumbnails_NSSC[:, :, ::-1])
    squares = np.minimum(_squared_distances(grounds, grounds), _squared_distances(grounds, mirrored))
    channels = 3 * 2  # of a colour, over two grounds
    shared_area = (area[:, None] + area[None]) / 2
    return np.sqrt(squares / (channels * CHANNEL_MAX**2 * np.maximum(shared_area, 1)))


def clusters_of(thumbnails_NSSC: np.ndarray, families: Sequence[str], alike: float = ALIKE) -> list[int]:
    """The cluster of each picture, numbered from 0: the first of each cluster in order.

    Pictures are in one cluster when a chain leads from one to the other in which neighbours differ by less than
    `alike` or are of the same family.
    """
    rows, columns = (
        [int(index) for index in side] for side in np.nonzero(differences(thumbnails_NSSC) < alike)
    )
    first: dict[str, int] = {}
    for number, family in enumerate(families):
        rows.append(first.setdefault(family, number))
        columns.append(number)
    links = coo_matrix((np.ones(len(rows), bool), (rows, columns)), shape=(len(families),) * 2)
    return connected_components(links, directed=False)[1].tolist()


def part_of(cluster: str, seed: int, shares: Shares = Shares()) -> str:
    """The part that a cluster falls into: decided by its name and the seed alone, whatever else there is."""
    digest = blake2b(f"{seed}/{cluster}".encode(), digest_size=DIGEST_BYTES).digest()
    position = int.from_bytes(digest, "big") / 2 ** (8 * DIGEST_BYTES)
    if position < shares.train:
        return TRAIN
    return VALIDATION if position < shares.train + shares.validation else HELD_OUT


def _over_grounds(thumbnails_NSSC: np.ndarray) -> np.ndarray:
    """The pixels over black and over white, `[N, 2 * S * S * 3]`."""
    black = thumbnails_NSSC[..., :3].astype(np.float64)
    white = black + (CHANNEL_MAX - thumbnails_NSSC[..., 3:].astype(np.float64))
    return np.concatenate([black, white], axis=-1).reshape(len(thumbnails_NSSC), -1)


def _area(thumbnails_NSSC: np.ndarray) -> np.ndarray:
    """How many pixels each picture covers."""
    return (
        thumbnails_NSSC[..., 3].reshape(len(thumbnails_NSSC), -1).sum(axis=1, dtype=np.float64) / CHANNEL_MAX
    )


def _squared_distances(rows_ND: np.ndarray, others_ND: np.ndarray) -> np.ndarray:
    squares = (rows_ND**2).sum(1)[:, None] + (others_ND**2).sum(1)[None] - 2 * rows_ND @ others_ND.T
    return np.maximum(squares, 0)
