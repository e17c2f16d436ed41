"""Host transforms that permute an image, the same way for all images."""

import numpy as np


def permute_patches(patch: int):
  """Permutes the patches of an image, and the pixels within each patch.

  Tolstikhin et al. 2021, MLP-Mixer, section 4 and Figure 4: all patches have
  the same permutation of their pixels.

  Args:
    patch: side of a patch in pixels; it divides the side of the image.
  """

  def transform(rng: None, image: np.ndarray) -> np.ndarray:
    rows, columns, channels = image.shape
    grid = image.reshape(
      rows // patch, patch, columns // patch, patch, channels
    )
    patches = grid.swapaxes(1, 2).reshape(-1, patch * patch, channels)
    draw = np.random.default_rng(0)
    patches = patches[draw.permutation(len(patches))]
    patches = patches[:, draw.permutation(patch * patch)]
    grid = patches.reshape(
      rows // patch, columns // patch, patch, patch, channels
    )
    return grid.swapaxes(1, 2).reshape(image.shape)

  return transform
