"""Image and text guidance as in InstructPix2Pix (paper equations 1-3)."""

from typing import Literal

from torch import Tensor

Condition = Literal["none", "image", "full"]


def needed_passes(guidance_image: float, guidance_text: float) -> tuple[Condition, ...]:
    """The passes that the two scales require; at scale 1 a term cancels, so its pass is not run."""
    if guidance_image == guidance_text:
        return ("full",) if guidance_image == 1 else ("none", "full")
    return ("image", "full") if guidance_image == 1 else ("none", "image", "full")


def combine(outputs: dict[Condition, Tensor], guidance_image: float, guidance_text: float) -> Tensor:
    """e(none) + s_I (e(image) - e(none)) + s_T (e(full) - e(image)), from the passes of `needed_passes`."""
    full = outputs["full"]
    if len(outputs) == 1:
        return full
    if "image" not in outputs:
        return outputs["none"] + guidance_image * (full - outputs["none"])
    image = outputs["image"]
    none = outputs.get("none", image)
    return none + guidance_image * (image - none) + guidance_text * (full - image)
