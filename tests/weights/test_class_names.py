"""The names of ImageNet's classes, in the order of published weights."""

import file_server
import pytest

from jaxvision.weights import class_names


def test_names_of_imagenet_have_the_usual_indices():
  names = class_names.imagenet_1k()
  assert len(names) == len(set(names)) == 1000
  # Indices that papers and the documentation of torchvision quote.
  known = {
    0: "tench",
    1: "goldfish",
    134: "crane bird",
    207: "golden retriever",
    281: "tabby",
    388: "giant panda",
    517: "crane",
    999: "toilet tissue",
  }
  assert {i: names[i] for i in known} == known


def test_names_of_imagenet_21k_are_fetched_once(tmp_path, monkeypatch):
  monkeypatch.setenv("JAXVISION_CACHE", str(tmp_path))
  text = "organism, being\nbenthos\ncrème\n".encode()
  with file_server.serve({"names.txt": text}) as site:
    monkeypatch.setattr(class_names, "IMAGENET_21K", f"{site.url}/names.txt")
    for _ in range(2):
      assert class_names.imagenet_21k() == (
        "organism, being",
        "benthos",
        "crème",
      )
    assert len(site.ranges) == 1


def test_names_of_imagenet_21k_lie_in_a_public_bucket(tmp_path, monkeypatch):
  monkeypatch.setenv("JAXVISION_CACHE", str(tmp_path))
  monkeypatch.setenv("JAXVISION_OFFLINE", "1")
  with pytest.raises(FileNotFoundError, match="gs://bit_models/imagenet21k_"):
    class_names.imagenet_21k()


def test_wordnet_ids_of_imagenet_become_names():
  ids = [f"n{i:08}" for i in range(1000)]
  assert class_names.readable(ids) == class_names.imagenet_1k()
  for other in (ids[:999], ids[::-1], [*ids[:999], "tench"], ["cat", "dog"]):
    assert class_names.readable(other) == tuple(other)


def test_files_of_names_as_editors_write_them(tmp_path):
  path = tmp_path / "names.txt"
  path.write_bytes(b"\xef\xbb\xbfant\r\nbee \r\n\r\n")
  assert class_names.read(path) == ("ant", "bee")
  for content, message in (
    (b"ant\n\nbee\n", "line 2 is empty"),
    (b"\xff", "UTF"),
  ):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"names.txt.*{message}"):
      class_names.read(path)
