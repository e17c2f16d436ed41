"""Downloads against a server on this machine that breaks off, lies, refuses."""

import concurrent.futures
import hashlib
import io
import logging
import random

import file_server
import pytest

from jaxvision import download

CONTENT = random.Random(0).randbytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site():
  with file_server.serve({"a/weights.npz": CONTENT}) as site:
    yield site


def _url(site):
  return f"{site.url}/a/weights.npz"


def _names(folder):
  return sorted(path.name for path in folder.iterdir())


def test_whole_file_and_nothing_else(site, tmp_path):
  path = tmp_path / "new" / "weights.npz"
  download.download(_url(site), path, sha256=SHA256.upper())
  assert path.read_bytes() == CONTENT
  assert _names(path.parent) == ["weights.npz"]


def test_broken_connections_are_opened_again_where_they_broke(site, tmp_path):
  site.cuts[:] = [300_000, 200_000]
  path = tmp_path / "weights.npz"
  download.download(_url(site), path)
  assert path.read_bytes() == CONTENT
  starts = [int(r.strip("bytes=-") or 0) for r in site.ranges]
  assert starts[0] == 0
  # A piece of 64 KiB that did not come whole is asked for again.
  assert 300_000 - 2**16 <= starts[1] <= 300_000
  assert starts[1] < starts[2] <= starts[1] + 200_000


def test_next_attempt_goes_on_from_what_was_kept(site, tmp_path):
  site.cuts[:] = [500_000, 0]
  path = tmp_path / "weights.npz"
  with pytest.raises(ConnectionError) as caught:
    download.download(_url(site), path)
  kept = (tmp_path / "weights.npz.part").stat().st_size
  assert 400_000 < kept <= 500_000
  assert f"{kept:,} bytes are kept" in str(caught.value)
  assert not path.exists()
  download.download(_url(site), path, sha256=SHA256)
  assert path.read_bytes() == CONTENT
  assert site.ranges[-1] == f"bytes={kept}-"
  assert _names(tmp_path) == ["weights.npz"]


def test_refusal_on_the_way_keeps_what_came(site, tmp_path):
  site.cuts[:] = [500_000, 0]
  path = tmp_path / "weights.npz"
  with pytest.raises(ConnectionError):
    download.download(_url(site), path)
  kept = (tmp_path / "weights.npz.part").stat().st_size
  site.statuses[:] = [503]
  with pytest.raises(ConnectionError, match="503"):
    download.download(_url(site), path)
  assert (tmp_path / "weights.npz.part").stat().st_size == kept > 0


def test_another_version_is_fetched_from_its_start(site, tmp_path):
  site.cuts[:] = [500_000, 0]
  path = tmp_path / "weights.npz"
  with pytest.raises(ConnectionError):
    download.download(_url(site), path)
  site.files["a/weights.npz"] = CONTENT[::-1]
  download.download(_url(site), path)
  assert path.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("kept", [CONTENT, CONTENT + b"more"])
def test_part_that_was_complete_or_too_long(kept, site, tmp_path):
  path = tmp_path / "weights.npz"
  (tmp_path / "weights.npz.part").write_bytes(kept)
  tag = f'"{hash(CONTENT)}"'
  (tmp_path / "weights.npz.part.version").write_text(tag)
  download.download(_url(site), path, sha256=SHA256)
  assert path.read_bytes() == CONTENT
  assert len(site.ranges) == 1 + (kept != CONTENT)


def test_part_of_unknown_version_is_not_trusted(site, tmp_path):
  path = tmp_path / "weights.npz"
  (tmp_path / "weights.npz.part").write_bytes(b"something else")
  download.download(_url(site), path)
  assert path.read_bytes() == CONTENT


def test_server_without_ranges_is_asked_for_all_again(tmp_path):
  with file_server.serve({"a/weights.npz": CONTENT}, resumes=False) as site:
    site.cuts[:] = [300_000]
    path = tmp_path / "weights.npz"
    download.download(_url(site), path, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert site.ranges == ["", ""]
    site.cuts[:] = [300_000, 300_000]  # no further than the last time
    with pytest.raises(ConnectionError):
      download.download(_url(site), tmp_path / "other.npz")


def test_wrong_checksum_names_both_and_leaves_no_trace(site, tmp_path):
  site.files["a/weights.npz"] = CONTENT[1:]
  found = hashlib.sha256(CONTENT[1:]).hexdigest()
  path = tmp_path / "weights.npz"
  with pytest.raises(ValueError, match=f"(?s){found}.*{SHA256}"):
    download.download(_url(site), path, sha256=SHA256)
  assert not path.exists()
  site.files["a/weights.npz"] = CONTENT
  download.download(_url(site), path, sha256=SHA256)
  assert path.read_bytes() == CONTENT


def test_missing_file_says_where_to_put_it(site, tmp_path):
  path = tmp_path / "missing.npz"
  with pytest.raises(FileNotFoundError, match=f"404.*{path}"):
    download.download(f"{site.url}/missing.npz", path)
  assert not path.exists()


def test_nobody_there_says_where_to_put_it(tmp_path):
  with file_server.serve({}) as site:
    url = f"{site.url}/weights.npz"
  path = tmp_path / "weights.npz"
  with pytest.raises(ConnectionError, match=f"cannot be reached.*{path}"):
    download.download(url, path)


def test_many_at_once_fetch_it_once(site, tmp_path, caplog):
  caplog.set_level(logging.INFO, "jaxvision")
  path = tmp_path / "weights.npz"
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda _: download.download(_url(site), path), range(8)))
  assert path.read_bytes() == CONTENT
  assert len(site.ranges) == 1
  assert _names(tmp_path) == ["weights.npz"]
  assert caplog.text.count("downloading") == 1


def test_bar_in_a_terminal_only(site, tmp_path, monkeypatch):
  class Terminal(io.StringIO):
    def isatty(self):
      return True

  monkeypatch.setattr("sys.stderr", screen := Terminal())
  download.download(_url(site), tmp_path / "weights.npz")
  assert "weights.npz" in screen.getvalue()
  assert "1.0/1.0 MB" in screen.getvalue()
  monkeypatch.setattr("sys.stderr", file := io.StringIO())
  download.download(_url(site), tmp_path / "again.npz")
  assert file.getvalue() == ""
