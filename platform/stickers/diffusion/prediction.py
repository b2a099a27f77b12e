"""The quantities that a network may predict, and how to convert them to clean latents.

With z = alpha x + sigma e: `epsilon` predicts e, `v_prediction` predicts v = alpha e - sigma x (Salimans & Ho 2022).
`sample_residual` predicts x minus the conditioning frame's latent: a video is its still plus a motion, and small
models learn that several times faster (measured; see `docs/log/toy-training.md`).
"""

from typing import Literal, get_args

from torch import Tensor

from stickers.errors import UserError

Prediction = Literal["epsilon", "v_prediction", "sample_residual"]
PREDICTIONS: tuple[str, ...] = get_args(Prediction)


def zero_terminal_snr(kind: Prediction) -> bool:
    """True for the forms whose schedule ends in pure noise, where predicting noise is useless (paper section 3.1)."""
    return kind != "epsilon"


def to_sample(
    kind: Prediction, output: Tensor, z: Tensor, alpha: Tensor, sigma: Tensor, image: Tensor
) -> Tensor:
    """Clean latents from a network's output; `image` is the conditioning latent, broadcast over time (zero if dropped).

    Raises:
        UserError: `kind` is none of `PREDICTIONS`.
    """
    if kind == "epsilon":
        return (z - sigma * output) / alpha
    if kind == "v_prediction":
        return alpha * z - sigma * output
    if kind == "sample_residual":
        return image + output
    raise UserError(f"unknown prediction type {kind!r}; accepted: {', '.join(PREDICTIONS)}")


def target(
    kind: Prediction, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, image: Tensor
) -> Tensor:
    """The training target of a network of this kind.

    Raises:
        UserError: `kind` is none of `PREDICTIONS`.
    """
    if kind == "epsilon":
        return noise
    if kind == "v_prediction":
        return alpha * noise - sigma * clean
    if kind == "sample_residual":
        return clean - image
    raise UserError(f"unknown prediction type {kind!r}; accepted: {', '.join(PREDICTIONS)}")
