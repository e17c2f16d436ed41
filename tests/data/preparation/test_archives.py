"""Files in tar archives, read without unpacking."""

import gzip
import random
import tarfile

import published_archives
import pytest

from jaxvision.data.preparation import archives

FILES = {"a/1.txt": b"one", "a/2.txt": b"", "b.bin": bytes(range(256)) * 5}


@pytest.fixture
def archive(tmp_path):
  path = tmp_path / "some.tar"
  published_archives.tar(path, FILES)
  return path


def contents(found):
  return {each.name: archives.read(each) for each in found}


def test_members_are_the_files(archive):
  assert contents(archives.members(archive)) == FILES


def test_archives_inside_of_archives(archive, tmp_path):
  outer = tmp_path / "outer.tar"
  inner = archive.read_bytes()
  published_archives.tar(outer, {"x.tar": inner, "y.tar": inner, "z": b"z"})
  first, second, _ = archives.members(outer)
  for each in (first, second):
    assert contents(archives.members(outer, inside=each)) == FILES


def test_an_archive_inside_that_is_not_whole(archive, tmp_path):
  outer = tmp_path / "outer.tar"
  cut = archive.read_bytes()[: 4 * 512 + 100]
  published_archives.tar(outer, {"x.tar": cut, "y.tar": archive.read_bytes()})
  first, _ = archives.members(outer)
  with pytest.raises(
    ValueError, match=r"x\.tar in .*outer\.tar is not a complete tar"
  ):
    list(archives.members(outer, inside=first))


@pytest.mark.parametrize("size", [100, 512 * 4 + 100])
def test_archives_that_are_cut_off(archive, size):
  archive.write_bytes(archive.read_bytes()[:size])
  with pytest.raises(
    ValueError, match=r"is not a complete tar archive: .*download it"
  ):
    list(archives.members(archive))


def test_a_file_that_is_not_an_archive_is_an_error(tmp_path):
  path = tmp_path / "page.tar"
  path.write_bytes(b"<html>not found</html>" * 100)
  with pytest.raises(ValueError, match="is not a complete tar archive"):
    list(archives.members(path))


def test_an_archive_that_became_shorter(archive):
  *_, last = archives.members(archive)
  archive.write_bytes(archive.read_bytes()[: last.offset + 10])
  with pytest.raises(OSError, match=r"ends in the middle of b\.bin"):
    archives.read(last)


def test_compressed_files_are_decompressed_once(archive, tmp_path):
  packed = tmp_path / "packed.tar.gz"
  packed.write_bytes(gzip.compress(archive.read_bytes()))
  scratch = tmp_path / "scratch"
  scratch.mkdir()
  made = archives.decompressed(packed, scratch=scratch)
  assert contents(archives.members(made)) == FILES
  before = made.stat().st_mtime_ns
  assert archives.decompressed(packed, scratch=scratch) == made
  assert made.stat().st_mtime_ns == before
  assert archives.decompressed(archive, scratch=scratch) == archive


def test_compressed_files_that_are_cut_off(archive, tmp_path):
  packed = tmp_path / "packed.tar.gz"
  packed.write_bytes(gzip.compress(archive.read_bytes())[:-20])
  with pytest.raises(
    ValueError, match=r"cannot be decompressed: .*download it"
  ):
    archives.decompressed(packed, scratch=tmp_path)
  assert not (tmp_path / "packed.tar").exists()


def test_as_dataset_reads_in_any_order(archive):
  found = list(archives.members(archive))
  split = archives.as_dataset(
    zip(found, (1, 0, 1), strict=True),
    name="some",
    split="train",
    class_names=("x", "y"),
  )
  contents = list(FILES.values())
  assert split.labels().tolist() == [1, 0, 1]
  assert split.read([2, 0, 1]) == [
    (contents[2], 1),
    (contents[0], 1),
    (contents[1], 0),
  ]
  assert split.ids([1]) == ["a/2.txt"]


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_compressed_files_with_damage(tmp_path, place):
  path = tmp_path / "a.tar.gz"
  content = bytearray(
    gzip.compress(random.Random(0).randbytes(10_000) + b"a" * 10_000)
  )
  content[int(place * len(content))] ^= 0x55
  path.write_bytes(content)
  with pytest.raises(ValueError, match=r"a\.tar\.gz cannot be decompressed: "):
    archives.decompressed(path, scratch=tmp_path)
  assert [each.name for each in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_file_cut_in_its_gzip_header_is_an_error(tmp_path):
  path = tmp_path / "a.tar.gz"
  for content in (b"\x1f\x8b", b"\x1f\x8b\x08\xff" + b"\0" * 20, b"\x1f\x8bzz"):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be decompressed: "):
      archives.decompressed(path, scratch=tmp_path)


def test_members_that_claim_impossible_sizes(tmp_path):
  path = tmp_path / "a.tar"
  with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
    member = tarfile.TarInfo("1.jpg")
    member.pax_headers = {"size": "-512"}
    archive.addfile(member)
  with pytest.raises(
    ValueError, match=r"a\.tar is not a complete tar archive: "
  ):
    list(archives.members(path))
