"""Addresses of weights, with and without a part."""

import pytest

from jaxvision.downloads import fetch
from jaxvision.weights import addresses


@pytest.mark.parametrize(
  ("address", "file", "part"),
  [
    ("a.pth", "a.pth", ""),
    ("a.pth#teacher", "a.pth", "teacher"),
    ("a#b.pth", "a#b.pth", ""),
    ("a#b.pth#state.model", "a#b.pth", "state.model"),
    ("a.pth#", "a.pth#", ""),
    ("runs/a#b", "runs/a#b", ""),
    ("hf-hub:owner/name#x", "hf-hub:owner/name", "x"),
    ("hf-hub:owner/name:a.bin#x", "hf-hub:owner/name:a.bin", "x"),
    ("https://host/a.pth?v=2#x", "https://host/a.pth?v=2", "x"),
    ("gs://bucket/a#b.npz", "gs://bucket/a#b.npz", ""),
    ("m.safetensors.index.json#x", "m.safetensors.index.json", "x"),
    ("moco.pth.tar#x", "moco.pth.tar", "x"),
  ],
)
def test_a_part_follows_the_name_of_a_file(address, file, part, monkeypatch):
  asked = []
  monkeypatch.setattr(
    fetch, "local_path", lambda path, sha256=None: asked.append(path)
  )
  assert addresses.locate(address) == (None, part)
  assert asked == [file] == [addresses.without_part(address)]


@pytest.mark.parametrize(
  ("address", "digits"),
  [
    ("https://download.pytorch.org/models/resnet50-0676ba61.pth", "0676ba61"),
    ("folder/resnet50-0676ba61.pth#model", "0676ba61"),
    ("https://example.org/resnet50-0676ba61.pth", None),
    ("resnet50.pth", None),
    ("hf-hub:timm/resnet50.a1_in1k", None),
  ],
)
def test_published_digits_are_required(address, digits, monkeypatch):
  asked = []
  monkeypatch.setattr(
    fetch, "local_path", lambda path, sha256=None: asked.append(sha256)
  )
  addresses.locate(address)
  addresses.locate(address, sha256="f" * 64)
  assert asked == [digits, "f" * 64]
