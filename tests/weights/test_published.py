"""The table of published files is correct."""

import re

import jax
import jax.numpy as jnp
import pytest

from jaxvision import models, trees
from jaxvision.downloads import fetch
from jaxvision.weights import published

ROWS = published.rows()
# Options that affect the number of parameters.
NETWORKS = {
  (r.model, tuple(r.options.items()), r.num_classes, r.image_size): r.parameters
  for r in ROWS
}


def test_every_model_exists_with_these_options():
  for row in ROWS:
    models.create(row.model, num_classes=row.num_classes, **row.options)
  families = ("vgg16", "resnet50d", "bit_r152x4", "vit_h14", "vit_r50_l32")
  families += ("mixer_l16", "efficientnet_b7", "nasnet_a_large")
  assert set(families) <= {row.model for row in ROWS}


def test_labels_and_addresses_are_unique_and_rows_sorted():
  for values in ([r.label for r in ROWS], [r.url for r in ROWS]):
    assert len(set(values)) == len(ROWS) > 200
  keys = [(row.model, row.label) for row in ROWS]
  assert keys == sorted(keys)


def test_addresses_are_of_formats_that_are_read():
  for row in ROWS:
    if row.url.startswith("gs://"):
      assert row.url.endswith(f"/{row.label}.npz")
      assert fetch.web_address(row.url).startswith("https://")
    elif row.url.startswith("https://"):
      folder = "https://download.pytorch.org/models/"
      assert row.url == f"{folder}{row.label.removeprefix('torchvision/')}.pth"
      assert row.url.endswith(f"-{row.sha256_prefix}.pth")
      assert re.fullmatch("[0-9a-f]{8,10}", row.sha256_prefix)
    else:
      assert re.fullmatch(r"hf-hub:(timm|google)/[\w.-]+", row.url)
      assert not row.sha256_prefix
      assert row.url == f"hf-hub:{row.label}"


def test_numbers_are_plausible():
  for row in ROWS:
    assert 160 <= row.image_size <= 600
    assert all(0 <= mean <= 0.5 for mean in row.mean)
    assert all(0.2 < std <= 1 for std in row.std)
    assert 0.8 < row.crop_fraction <= 1
    assert row.crop in ("center", "square")
    assert row.interpolation.startswith(("bilinear", "bicubic"))
    assert row.num_classes in (1000, 11_221, 11_821, 21_843)
    assert (row.top1 is None) == (row.top1_source == "")
    if row.top1 is not None:
      assert 56 < row.top1 < 90
      assert row.num_classes == 1000
      assert re.search(r", \d{3} px$", row.top1_source)
    assert row.licence in ("", "apache-2.0", "bsd-3-clause", "cc-by-nc-4.0")


def test_one_file_is_read_as_it_is_written():
  (row,) = published.rows("timm/resnet34d.ra2_in1k")
  assert row == published.PublishedFile(
    model="resnet34",
    label="timm/resnet34d.ra2_in1k",
    url="hf-hub:timm/resnet34d.ra2_in1k",
    options={"stem": "deep", "shortcut": "pool"},
    parameters=21_816_904,
    image_size=224,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    crop_fraction=0.875,
    crop="center",
    interpolation="bicubic_antialiased",
    num_classes=1000,
    licence="apache-2.0",
    top1=78.436,
    top1_source="timm results-imagenet.csv, 288 px",
  )


def test_patterns_match_models_and_labels():
  by_model = published.rows("bit_r50x1")
  assert {row.model for row in by_model} == {"bit_r50x1"}
  assert "BiT-M-R50x1" in {row.label for row in by_model}
  by_label = published.rows("BiT-M-*-ILSVRC2012")
  assert len(by_label) == 6
  assert published.rows("no such model") == []


def test_networks_with_a_published_count_have_it():
  compared = 0
  for row in ROWS:
    spec = models.spec(row.model)
    same = row.num_classes == 1000 and row.image_size == spec.image_size
    if same and not {"stem", "pool", "layout"} & set(row.options):
      assert row.parameters == spec.parameters, row.label
      compared += 1
  assert compared > 80


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_parameters_are_those_of_the_model(network):
  name, options, num_classes, size = network
  model = models.create(name, num_classes=num_classes, **dict(options))
  shapes = jax.eval_shape(
    lambda: model.init(
      jax.random.key(0), jnp.zeros((1, size, size, 3)), train=False
    )
  )
  assert trees.count(shapes["params"]) == NETWORKS[network]
