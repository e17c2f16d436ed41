"""Exported models give the model's outputs without jaxvision."""

import pathlib
import re
import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxvision import data, models
from jaxvision.inference import export

DOCS = pathlib.Path(__file__).parents[2] / "docs"
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
# Batch normalisation; depthwise convolutions, which differ by platform;
# attention.
MODELS = {
  "resnet18": {"blocks": (1, 1), "features": 8, "stem": "small"},
  "efficientnet_b0": {
    "width": 0.25,
    "stages": ((1, 3, 1, 1, 16), (1, 5, 2, 6, 32)),
  },
  "vit_ti16": {
    "patch_size": 8,
    "width": 12,
    "depth": 1,
    "mlp_dim": 24,
    "num_heads": 3,
  },
}


def _model(name, *, channels=3):
  """Returns a small model and variables that differ from initial values."""
  model = models.create(name, num_classes=5, **MODELS[name])
  shapes = jax.eval_shape(
    lambda: model.init(
      jax.random.key(0), jnp.zeros((1, 16, 24, channels)), train=False
    )
  )
  rng = np.random.default_rng(0)
  return model, jax.tree.map(
    lambda leaf: jnp.asarray(rng.uniform(0.1, 0.3, leaf.shape), leaf.dtype),
    shapes,
  )


def _images(batch, channels=3):
  rng = np.random.default_rng(batch)
  return rng.integers(0, 256, (batch, 16, 24, channels), np.uint8)


def _load(path):
  return jax.export.deserialize(bytearray(path.read_bytes()))


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("name", MODELS)
def test_probabilities_are_those_of_the_model(name, tmp_path):
  model, variables = _model(name)
  path = tmp_path / "model.jax"
  export.save(
    path,
    model,
    variables,
    image_shape=(16, 24, 3),
    normalization=data.Normalization(MEAN, STD),
  )
  assert [file.name for file in tmp_path.iterdir()] == ["model.jax"]
  artifact = _load(path)
  assert artifact.platforms == ("cpu", "cuda", "tpu")
  for batch in (1, 3):
    images = _images(batch)
    # Other rounding of pixels would exceed the tolerance.
    pixels = data.normalize(jnp.asarray(images), data.Normalization(MEAN, STD))
    logits = jax.jit(model.apply, static_argnames="train")(
      variables, pixels, train=False
    )
    found = np.asarray(artifact.call(images))
    assert found.dtype == np.float32
    np.testing.assert_allclose(
      found, jax.nn.softmax(logits), rtol=1e-5, atol=1e-7
    )
    assert np.ptp(found) > 1e-4


def test_one_channel_and_variables_on_all_devices(tmp_path):
  model, variables = _model("vit_ti16", channels=1)
  mesh = jax.make_mesh((8,), ("all",), axis_types=(jax.sharding.AxisType.Auto,))
  everywhere = jax.sharding.NamedSharding(mesh, jax.P())
  path = tmp_path / "model.jax"
  export.save(
    path,
    model,
    jax.device_put(variables, everywhere),
    image_shape=(16, 24, 1),
    normalization=data.Normalization((0.5,), (0.5,)),
  )
  assert _load(path).nr_devices == 1
  assert _load(path).call(_images(2, channels=1)).shape == (2, 5)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [3, 1])
def test_script_of_the_documents_runs_without_this_package(channels, tmp_path):
  script = re.search(
    r"```python\n(import sys.*?)```", (DOCS / "export.md").read_text(), re.S
  )[1]
  model, variables = _model("resnet18", channels=channels)
  names = ("crème brûlée", "dog", "cat", "owl", "bee")
  export.save(
    tmp_path / "model.jax",
    model,
    variables,
    image_shape=(16, 24, channels),
    normalization=data.Normalization(MEAN[:channels], STD[:channels]),
    class_names=names,
  )
  image = _images(1, channels=channels)[0]
  Image.fromarray(image.squeeze()).save(tmp_path / "image.png")
  # None in sys.modules makes an import fail.
  alone = "import sys; sys.modules['jaxvision'] = None\n"
  done = subprocess.run(
    [sys.executable, "-X", "utf8", "-c", alone + script, "image.png"],
    cwd=tmp_path,
    capture_output=True,
    encoding="utf-8",
    check=False,
  )
  assert done.returncode == 0, done.stderr
  shares = np.asarray(_load(tmp_path / "model.jax").call(image[None]))[0]
  expected = [f"{shares[i]:.1%} {names[i]}" for i in np.argsort(-shares)]
  assert done.stdout.splitlines() == expected


def test_the_numbers_of_names_and_classes_must_be_equal(tmp_path):
  model, variables = _model("resnet18")
  with pytest.raises(ValueError, match=r"2 class names.*5 classes"):
    export.save(
      tmp_path / "model.jax",
      model,
      variables,
      image_shape=(16, 24, 3),
      normalization=data.Normalization(MEAN, STD),
      class_names=("cat", "dog"),
    )
  assert not list(tmp_path.iterdir())


def test_weights_too_large_for_the_format(tmp_path):
  model, _ = _model("resnet18")
  # One number repeated 2^29 times by strides: 2 GiB without memory.
  large = np.broadcast_to(np.float32(0), 2**29)
  with pytest.raises(ValueError, match=r"2,147,483,648 bytes.*bfloat16"):
    export.save(
      tmp_path / "model.jax",
      model,
      {"params": {"kernel": large}},
      image_shape=(16, 24, 3),
      normalization=data.Normalization(MEAN, STD),
    )
