"""Distances of generated images from real ones, in features of a network."""

from typing import Any

import flax.linen as nn
from jax.sharding import Mesh

from jaxvision import data
from jaxvision.evaluation.probes import features
from jaxvision.metrics import generation

Tree = Any


def feature_distances(
  model: nn.Module,
  variables: Tree,
  real: data.Batches,
  generated: data.Batches,
  *,
  normalization: data.Normalization,
  mesh: Mesh,
  layer: str | None = None,
) -> dict[str, float]:
  """The Fréchet and the kernel distance of two splits.

  Both depend on the network and on the number of images: compare values of the
  same network and the same numbers only. The Fréchet distance needs more images
  than features.

  Args:
    model, variables: the network.
    real, generated: the splits, in order.
    normalization: of the pixels.
    mesh: of the variables.
    layer: as for `probes.features.make_reader`; "pixels" compares pixels.

  Returns:
    frechet_distance and kernel_distance; and real, generated and features, the
    numbers of images and features.

  Raises:
    ValueError: the layer does not exist, or a split has one image.
  """
  read = features.make_reader(
    model,
    real.image_shape,
    normalization=normalization,
    mesh=mesh,
    layer=layer,
  )
  (a, _), (b, _) = (read(variables, each) for each in (real, generated))
  a, b = (each.reshape(len(each), -1) for each in (a, b))
  return {
    "frechet_distance": generation.frechet_distance(
      *generation.moments(a), *generation.moments(b)
    ),
    "kernel_distance": generation.kernel_distance(a, b),
    "real": len(a),
    "generated": len(b),
    "features": a.shape[1],
  }
