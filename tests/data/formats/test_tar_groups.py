import io
import os
import tarfile

import pytest
import written_sources

from jaxvision.data.formats import tar_groups

MEMBERS = [
  ("a/1.jpg", b"image"),
  ("a/1.cls", b"7"),
  ("a/2.seg.PNG", b"mask" * 400),
  ("b/2.txt", b""),
  ("noextension", b"x"),
  ("a/1.json", b"{}"),
  ("./c/3.jpg", b"z"),
  ("c/._3.jpg", b"fork"),
  ("c/.ipynb_checkpoints/3.jpg", b"copy"),
  ("v1.2/" + "long" * 60 + ".jpg", b"y"),
]


def read(path):
  with path.open("rb", buffering=0) as opened:
    return [
      (
        key,
        {
          extension: os.pread(opened.fileno(), size, first)
          for extension, (first, size) in group.items()
        },
      )
      for key, group in tar_groups.read(path, opened)
    ]


EXPECTED = [
  ("a/1", {"jpg": b"image", "cls": b"7"}),
  ("a/2", {"seg.png": b"mask" * 400}),
  ("b/2", {"txt": b""}),
  ("noextension", {"": b"x"}),
  ("a/1", {"json": b"{}"}),
  ("c/3", {"jpg": b"z"}),
  ("v1.2/" + "long" * 60, {"jpg": b"y"}),
]


@pytest.mark.parametrize(
  "format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT]
)
def test_neighbours_of_one_name_are_a_group(tmp_path, format):
  members = MEMBERS
  if format == tarfile.USTAR_FORMAT:
    members = MEMBERS[:-1]
  path = tmp_path / "shard.tar"
  written_sources.write_tar(path, members, format=format)
  assert read(path) == EXPECTED[: 7 - (members is not MEMBERS)]


def test_folders_and_links_are_passed_over(tmp_path):
  path = tmp_path / "shard.tar"
  with tarfile.open(path, "w") as archive:
    folder = tarfile.TarInfo("a")
    folder.type = tarfile.DIRTYPE
    archive.addfile(folder)
    member = tarfile.TarInfo("a/1.jpg")
    member.size = 3
    archive.addfile(member, io.BytesIO(b"abc"))
    link = tarfile.TarInfo("a/2.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "1.jpg"
    archive.addfile(link)
  assert read(path) == [("a/1", {"jpg": b"abc"})]


@pytest.fixture
def shard(tmp_path):
  path = tmp_path / "shard.tar"
  written_sources.write_tar(path, MEMBERS[:4])
  return path


def ends(path):
  """The ends of each member and of the archive."""
  with tarfile.open(path) as archive:
    return [member.offset for member in archive][1:]


def test_a_cut_file_is_an_error(shard):
  size = shard.stat().st_size
  # Within a header, within a content, between members.
  for length in (ends(shard)[1] + 100, ends(shard)[2] - 600, *ends(shard)):
    assert 0 < length < size
    content = shard.read_bytes()
    shard.write_bytes(content[:length])
    with pytest.raises(ValueError, match=r"shard\.tar .*truncated.*copy"):
      read(shard)
    shard.write_bytes(content)
  assert len(read(shard)) == 3


def test_damage_in_the_middle_is_not_taken_for_the_end(shard):
  content = bytearray(shard.read_bytes())
  content[ends(shard)[1] + 150] ^= 0x40  # in the checksum of a header
  shard.write_bytes(content)
  with pytest.raises(ValueError, match=r"truncated or damaged: .* at byte"):
    read(shard)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_compressed_files_are_refused(tmp_path, mode):
  path = tmp_path / "shard.tar"
  with tarfile.open(path, mode) as archive:
    archive.addfile(tarfile.TarInfo("a.jpg"))
  with pytest.raises(
    ValueError, match=r"not an uncompressed tar file.*decompress \.gz"
  ):
    read(path)


def test_an_empty_file_is_no_tar(tmp_path):
  path = tmp_path / "shard.tar"
  path.touch()
  with pytest.raises(ValueError, match="not an uncompressed tar file"):
    read(path)


@pytest.mark.parametrize(
  "names",
  [
    ["001.png", "001.cls", "001.png", "001.cls"],
    ["001.png", "001.PNG", "001.cls"],
    ["001.png", "001.cls", "002.png", "002.cls", "001.png"],
    ["a/1.png", "a/1.cls", "b/1.png", "./a/1.png"],
  ],
)
def test_a_member_that_comes_twice_is_refused(tmp_path, names):
  path = tmp_path / "shard.tar"
  written_sources.write_tar(path, [(name, b"x") for name in names])
  with pytest.raises(ValueError, match=r"shard\.tar has '.*' more than once"):
    read(path)


def header(content, **changes):
  """The first header of a tar file with other fields and a correct checksum."""
  fields = {"size": (124, 12), "type": (156, 1)}
  block = bytearray(content[:512])
  for name, value in changes.items():
    start, length = fields[name]
    block[start : start + length] = value.ljust(length, b"\0")
  block[148:156] = b" " * 8
  block[148:156] = b"%06o\0 " % sum(block)
  return bytes(block) + content[512:]


@pytest.mark.parametrize(
  "changes",
  [
    {"size": b"77777777777"},
    {"size": b"\xff" * 12},  # -1 in base 256
    {"size": b"\x80" + b"\xff" * 11},
    {"size": b"x" * 11},
    {"type": b"S"},  # sparse
    {"type": b"x", "size": b"77777777777"},  # a pax header of 8 GiB
  ],
)
def test_wrong_headers_are_refused(shard, changes):
  shard.write_bytes(header(shard.read_bytes(), **changes))
  with pytest.raises(ValueError, match=r"shard\.tar .*copy the file again"):
    read(shard)


@pytest.mark.parametrize("size", ["-512", "-1", "9" * 30])
def test_wrong_sizes_in_pax_headers_are_refused(tmp_path, size):
  path = tmp_path / "shard.tar"
  with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
    member = tarfile.TarInfo("1.jpg")
    member.pax_headers = {"size": size}
    archive.addfile(member)
  with pytest.raises(ValueError, match=r"shard\.tar .*copy the file again"):
    read(path)
