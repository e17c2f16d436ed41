"""Local paths of addresses; existing files are not downloaded again."""

import hashlib
import json
import sys
import types

import file_server
import pytest

from jaxvision.downloads import fetch

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _own_environment(tmp_path, monkeypatch):
  monkeypatch.setenv("JAXVISION_CACHE", str(tmp_path / "cache"))
  monkeypatch.delenv("JAXVISION_OFFLINE", raising=False)


@pytest.fixture
def site():
  with file_server.serve({"a/w.npz": CONTENT}) as site:
    yield site


def test_local_path_is_left_as_it_is(tmp_path, monkeypatch):
  path = tmp_path / "w.npz"
  path.write_bytes(CONTENT)
  assert fetch.local_path(path, sha256=SHA256, offline=True) == path
  monkeypatch.setenv("HOME", str(tmp_path))
  assert fetch.local_path("~/w.npz") == path
  with pytest.raises(FileNotFoundError, match="nowhere"):
    fetch.local_path(tmp_path / "nowhere")


def test_fetched_once_into_a_readable_place(site, tmp_path):
  url = f"{site.url}/a/w.npz"
  path = fetch.local_path(url, sha256=SHA256)
  host = site.url.removeprefix("http://")
  assert path == tmp_path / "cache" / "downloads" / host / "a/w.npz"
  assert path.read_bytes() == CONTENT
  assert fetch.local_path(url) == path
  assert fetch.local_path(url, offline=True) == path
  assert len(site.ranges) == 1
  other = fetch.local_path(url, cache_dir=tmp_path / "other")
  assert other == tmp_path / "other" / host / "a/w.npz"
  assert len(site.ranges) == 2


def test_cache_follows_the_environment(monkeypatch, tmp_path):
  url = "https://example.org/w.npz"

  def place():
    with pytest.raises(FileNotFoundError) as caught:
      fetch.local_path(url, offline=True)
    return str(caught.value)

  assert f"{tmp_path}/cache/downloads/example.org/w.npz" in place()
  monkeypatch.delenv("JAXVISION_CACHE")
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
  assert f"{tmp_path}/xdg/jaxvision/downloads/example.org/w.npz" in place()
  monkeypatch.delenv("XDG_CACHE_HOME")
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  assert f"{tmp_path}/home/.cache/jaxvision/downloads/example.org" in place()


@pytest.mark.parametrize("value,fetches", [("1", 0), ("0", 1), ("", 1)])
def test_offline_by_the_environment(value, fetches, site, monkeypatch):
  monkeypatch.setenv("JAXVISION_OFFLINE", value)
  url = f"{site.url}/a/w.npz"
  if fetches:
    assert fetch.local_path(url).read_bytes() == CONTENT
  else:
    with pytest.raises(FileNotFoundError, match="put the file at"):
      fetch.local_path(url)
    assert fetch.local_path(url, offline=False).read_bytes() == CONTENT


def test_file_put_there_by_hand_is_used_and_never_removed(tmp_path):
  address = "gs://bit_models/w.npz"
  host = "storage.googleapis.com"
  path = tmp_path / "cache/downloads" / host / "bit_models/w.npz"
  path.parent.mkdir(parents=True)
  path.write_bytes(CONTENT)
  assert fetch.local_path(address, sha256=SHA256) == path
  with pytest.raises(
    ValueError, match=f"{path} has SHA-256 {SHA256}.*{'0' * 64}"
  ):
    fetch.local_path(address, sha256="0" * 64)
  assert path.read_bytes() == CONTENT


def test_public_buckets_are_web_addresses():
  address = "gs://vit_models/imagenet21k/R50+ViT-B_16.npz"
  assert fetch.web_address(address) == (
    "https://storage.googleapis.com/vit_models/imagenet21k/R50%2BViT-B_16.npz"
  )
  url = "https://example.org/a.npz?download=true"
  assert fetch.web_address(url) == url


def test_addresses_that_differ_in_their_query_are_two_files(site):
  site.files["a/w.npz?version=2"] = b"second"
  first = fetch.local_path(f"{site.url}/a/w.npz")
  second = fetch.local_path(f"{site.url}/a/w.npz?version=2")
  assert first.read_bytes() == CONTENT
  assert second.read_bytes() == b"second"


@pytest.mark.parametrize(
  "address,said",
  [
    ("s3://bucket/w.npz", "s3:// is not supported"),
    ("gs://bucket", "names no file"),
    ("https://example.org/folder/", "names no file"),
    ("https://example.org/a/%2e%2e/../w.npz", "contains '..'"),
    ("hf-hub:w", "owner/name"),
  ],
)
def test_addresses_of_another_kind(address, said):
  with pytest.raises(ValueError, match=said):
    fetch.local_path(address)


def _fake_hub(monkeypatch, download):
  class LocalEntryNotFoundError(FileNotFoundError):
    pass

  errors = types.SimpleNamespace(
    LocalEntryNotFoundError=LocalEntryNotFoundError
  )
  hub = types.ModuleType("huggingface_hub")
  hub.errors, hub.hf_hub_download = errors, download
  monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
  return LocalEntryNotFoundError


@pytest.mark.parametrize(
  "address,name",
  [
    ("hf-hub:timm/resnet50.a1_in1k", "model.safetensors"),
    ("hf-hub:timm/resnet50.a1_in1k:other.safetensors", "other.safetensors"),
  ],
)
def test_hub_is_asked_through_its_own_library(
  address, name, tmp_path, monkeypatch
):
  asked = []

  def download(*args, **options):
    asked.append((args, options))
    path = tmp_path / "hub" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(CONTENT)
    return str(path)

  _fake_hub(monkeypatch, download)
  path = fetch.local_path(address, sha256=SHA256, offline=True)
  assert path.read_bytes() == CONTENT
  options = {"cache_dir": None, "local_files_only": True}
  assert asked == [(("timm/resnet50.a1_in1k", name), options)]
  with pytest.raises(ValueError, match=SHA256):
    fetch.local_path(address, sha256="0" * 64)


INDEX = "model.safetensors.index.json"


def _index(*names):
  places = {f"key{i}": name for i, name in enumerate(names)}
  return json.dumps({"weight_map": places}).encode()


@pytest.mark.parametrize("folder", ["", "deep/"])
def test_the_shards_of_an_index_are_fetched_too(folder, tmp_path, monkeypatch):
  asked = []

  def download(repository, name, **options):
    asked.append(name)
    path = tmp_path / "hub" / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(
      _index("a.safetensors", "b.safetensors", "a.safetensors")
      if name.endswith(".json")
      else b"shard"
    )
    return str(path)

  _fake_hub(monkeypatch, download)
  path = fetch.local_path(f"hf-hub:owner/name:{folder}{INDEX}")
  assert path == tmp_path / "hub" / folder / INDEX
  assert asked == [
    f"{folder}{name}" for name in (INDEX, "a.safetensors", "b.safetensors")
  ]


def test_shards_of_another_version_are_noticed(tmp_path, monkeypatch):
  def download(repository, name, **options):
    path = tmp_path / name[0] / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(_index("a.safetensors"))
    return str(path)

  _fake_hub(monkeypatch, download)
  with pytest.raises(ConnectionError, match="changed during the download"):
    fetch.local_path(f"hf-hub:owner/name:{INDEX}")


def test_shards_of_a_web_server(site):
  site.files[f"s/{INDEX}"] = _index("a.safetensors")
  site.files["s/a.safetensors"] = b"shard"
  path = fetch.local_path(f"{site.url}/s/{INDEX}")
  assert path.with_name("a.safetensors").read_bytes() == b"shard"


@pytest.mark.parametrize(
  "content",
  [
    _index("../a.safetensors"),
    _index("/a.safetensors"),
    _index("a.pth"),
    _index(""),
    b"{}",
    b"[]",
  ],
)
def test_other_indexes_are_refused(content, site):
  site.files[f"s/{INDEX}"] = content
  with pytest.raises(ValueError, match="fetch it again"):
    fetch.local_path(f"{site.url}/s/{INDEX}")


def test_a_download_with_another_beginning_is_not_stored(site):
  with pytest.raises(ValueError, match="00000000 was expected"):
    fetch.local_path(f"{site.url}/a/w.npz", sha256="00000000")
  path = fetch.local_path(f"{site.url}/a/w.npz", sha256=SHA256[:10])
  assert path.read_bytes() == CONTENT


def test_the_beginning_of_a_checksum_is_enough(tmp_path):
  path = tmp_path / "w.npz"
  path.write_bytes(CONTENT)
  assert fetch.local_path(path, sha256=SHA256[:8].upper()) == path
  with pytest.raises(ValueError, match=f"{SHA256}, but 00000000 was expected"):
    fetch.local_path(path, sha256="00000000")
  for wrong in ("", SHA256[:7], "x" * 64, SHA256 + "0"):
    with pytest.raises(ValueError, match="at least the first 8"):
      fetch.local_path(path, sha256=wrong)


@pytest.mark.parametrize("offline", [True, False])
def test_hub_that_cannot_be_reached(offline, monkeypatch):
  def download(*args, **options):
    raise missing("no file")

  missing = _fake_hub(monkeypatch, download)
  kind = FileNotFoundError if offline else ConnectionError
  with pytest.raises(kind, match="give its path"):
    fetch.local_path("hf-hub:timm/resnet50.a1_in1k", offline=offline)


def test_hub_without_its_library(monkeypatch):
  monkeypatch.setitem(sys.modules, "huggingface_hub", None)
  with pytest.raises(ImportError, match=r"pip install jaxvision\[hub\]"):
    fetch.local_path("hf-hub:timm/resnet50.a1_in1k")


@pytest.mark.parametrize(
  ("address", "name"),
  [
    ("https://me:secret@host:8080/a/w.npz", "host:8080/a/w.npz"),
    ("https://host/w.npz?v=2", "host/w.npz?v%3D2"),
  ],
)
def test_passwords_are_no_names_of_folders(address, name, tmp_path):
  with pytest.raises(FileNotFoundError, match="offline") as caught:
    fetch.local_path(address, cache_dir=tmp_path, offline=True)
  assert f"{tmp_path}/{name}" in str(caught.value)
  assert "secret" not in str(caught.value)


def test_signatures_are_no_names_of_files(tmp_path):
  told = []
  for signature in ("abc", "abd"):
    address = f"https://host/w.npz?X-Amz-Signature={signature}&part=1"
    with pytest.raises(FileNotFoundError) as caught:
      fetch.local_path(address, cache_dir=tmp_path, offline=True)
    assert signature not in str(caught.value)
    told.append(str(caught.value))
  assert told[0] != told[1]
