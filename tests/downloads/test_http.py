"""Downloads from a local server that disconnects, misbehaves or refuses."""

import concurrent.futures
import contextlib
import hashlib
import http.server
import io
import logging
import random
import threading

import file_server
import pytest

from jaxvision.downloads.http import download

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


def test_a_download_leaves_only_the_whole_file(site, tmp_path):
  path = tmp_path / "new" / "weights.npz"
  download(_url(site), path, sha256=SHA256.upper())
  assert path.read_bytes() == CONTENT
  assert _names(path.parent) == ["weights.npz"]


def test_broken_connections_are_opened_again_where_they_broke(site, tmp_path):
  site.cuts[:] = [300_000, 200_000]
  path = tmp_path / "weights.npz"
  download(_url(site), path)
  assert path.read_bytes() == CONTENT
  starts = [int(r.strip("bytes=-") or 0) for r in site.ranges]
  assert starts[0] == 0
  # An incomplete piece of 64 KiB is requested again.
  assert 300_000 - 2**16 <= starts[1] <= 300_000
  assert starts[1] < starts[2] <= starts[1] + 200_000


def test_the_next_attempt_resumes_from_the_partial_file(site, tmp_path):
  site.cuts[:] = [500_000, 0]
  path = tmp_path / "weights.npz"
  with pytest.raises(ConnectionError) as caught:
    download(_url(site), path)
  kept = (tmp_path / "weights.npz.part").stat().st_size
  assert 400_000 < kept <= 500_000
  assert f"{kept:,} bytes are kept" in str(caught.value)
  assert not path.exists()
  download(_url(site), path, sha256=SHA256)
  assert path.read_bytes() == CONTENT
  assert site.ranges[-1] == f"bytes={kept}-"
  assert _names(tmp_path) == ["weights.npz"]


def test_a_refused_attempt_keeps_the_partial_file(site, tmp_path):
  site.cuts[:] = [500_000, 0]
  path = tmp_path / "weights.npz"
  with pytest.raises(ConnectionError):
    download(_url(site), path)
  kept = (tmp_path / "weights.npz.part").stat().st_size
  site.statuses[:] = [503]
  with pytest.raises(ConnectionError, match="503"):
    download(_url(site), path)
  assert (tmp_path / "weights.npz.part").stat().st_size == kept > 0


def test_another_version_is_fetched_from_its_start(site, tmp_path):
  site.cuts[:] = [500_000, 0]
  path = tmp_path / "weights.npz"
  with pytest.raises(ConnectionError):
    download(_url(site), path)
  site.files["a/weights.npz"] = CONTENT[::-1]
  download(_url(site), path)
  assert path.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("kept", [CONTENT, CONTENT + b"more"])
def test_part_that_was_complete_or_too_long(kept, site, tmp_path):
  path = tmp_path / "weights.npz"
  (tmp_path / "weights.npz.part").write_bytes(kept)
  tag = f'"{hash(CONTENT)}"'
  (tmp_path / "weights.npz.part.version").write_text(tag)
  download(_url(site), path, sha256=SHA256)
  assert path.read_bytes() == CONTENT
  assert len(site.ranges) == 1 + (kept != CONTENT)


def test_part_of_unknown_version_is_not_trusted(site, tmp_path):
  path = tmp_path / "weights.npz"
  (tmp_path / "weights.npz.part").write_bytes(b"something else")
  download(_url(site), path)
  assert path.read_bytes() == CONTENT


def test_server_without_ranges_is_asked_for_all_again(tmp_path):
  with file_server.serve({"a/weights.npz": CONTENT}, resumes=False) as site:
    site.cuts[:] = [300_000]
    path = tmp_path / "weights.npz"
    download(_url(site), path, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert site.ranges == ["", ""]
    site.cuts[:] = [300_000, 300_000]  # no further than the last time
    with pytest.raises(ConnectionError):
      download(_url(site), tmp_path / "other.npz")


def test_wrong_checksum_names_both_and_leaves_no_trace(site, tmp_path):
  site.files["a/weights.npz"] = CONTENT[1:]
  found = hashlib.sha256(CONTENT[1:]).hexdigest()
  path = tmp_path / "weights.npz"
  with pytest.raises(ValueError, match=f"(?s){found}.*{SHA256}"):
    download(_url(site), path, sha256=SHA256)
  assert not path.exists()
  site.files["a/weights.npz"] = CONTENT
  download(_url(site), path, sha256=SHA256)
  assert path.read_bytes() == CONTENT


def test_missing_file_says_where_to_put_it(site, tmp_path):
  path = tmp_path / "missing.npz"
  with pytest.raises(FileNotFoundError, match=f"404.*{path}"):
    download(f"{site.url}/missing.npz", path)
  assert not path.exists()


def test_nobody_there_says_where_to_put_it(tmp_path):
  with file_server.serve({}) as site:
    url = f"{site.url}/weights.npz"
  path = tmp_path / "weights.npz"
  with pytest.raises(ConnectionError, match=f"cannot be reached.*{path}"):
    download(url, path)


def test_many_at_once_fetch_it_once(site, tmp_path, caplog):
  caplog.set_level(logging.INFO, "jaxvision")
  path = tmp_path / "weights.npz"
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda _: download(_url(site), path), range(8)))
  assert path.read_bytes() == CONTENT
  assert len(site.ranges) == 1
  assert _names(tmp_path) == ["weights.npz"]
  assert caplog.text.count("downloading") == 1


def test_bar_in_a_terminal_only(site, tmp_path, monkeypatch):
  class Terminal(io.StringIO):
    def isatty(self):
      return True

  monkeypatch.setattr("sys.stderr", screen := Terminal())
  download(_url(site), tmp_path / "weights.npz")
  assert "weights.npz" in screen.getvalue()
  assert "1.0/1.0 MB" in screen.getvalue()
  monkeypatch.setattr("sys.stderr", file := io.StringIO())
  download(_url(site), tmp_path / "again.npz")
  assert file.getvalue() == ""


OTHER = CONTENT[::-1]


@contextlib.contextmanager
def _scripted(*answers):
  """A server that gives these answers in order, then repeats the last one.

  An answer is (status, headers, content), or a function of the first requested
  byte, which is None for a request of the complete file.
  """
  asked = []

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      wanted = self.headers.get("Range", "").strip("bytes=-")
      asked.append(int(wanted) if wanted else None)
      answer = answers[min(len(asked), len(answers)) - 1]
      if callable(answer):
        answer = answer(asked[-1])
      status, headers, content = answer
      self.send_response(status)
      for name, value in {"Content-Length": len(content), **headers}.items():
        self.send_header(name, str(value))
      self.end_headers()
      self.wfile.write(content)
      self.close_connection = True

    def log_message(self, *_):
      pass

  server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
  thread = threading.Thread(target=server.serve_forever, args=(0.01,))
  thread.start()
  try:
    yield f"http://127.0.0.1:{server.server_port}/a.npz", asked
  finally:
    server.shutdown()
    thread.join()
    server.server_close()


def _cut(content, tag, length=500_000):
  """The beginning of a complete answer."""
  headers = {"ETag": tag, "Content-Length": len(content)}
  return 200, headers, content[:length]


def _rest(content, headers):
  """The rest of the current version, as from servers without If-Range."""

  def answer(first):
    if first is None:
      return 200, headers, content
    span = f"bytes {first}-{len(content) - 1}/{len(content)}"
    return 206, {**headers, "Content-Range": span}, content[first:]

  return answer


@pytest.mark.parametrize(
  ("content", "headers"),
  [
    (OTHER, {"ETag": '"2"'}),
    (OTHER + b"more", {"ETag": '"1"'}),  # the total alone tells
    (OTHER + b"more", {}),
    (CONTENT[:-7], {}),
    (OTHER, {"ETag": 'W/"1"', "Last-Modified": "yesterday"}),
  ],
)
def test_two_versions_are_never_mixed(tmp_path, content, headers):
  path = tmp_path / "a.npz"
  with _scripted(_cut(CONTENT, '"1"'), _rest(content, headers)) as (url, _):
    download(url, path)
  assert path.read_bytes() == content


def test_the_rest_of_the_same_version_is_appended(tmp_path):
  path = tmp_path / "a.npz"
  answers = _cut(CONTENT, '"1"'), _rest(CONTENT, {"ETag": '"1"'})
  with _scripted(*answers) as (url, asked):
    download(url, path, sha256=SHA256)
  assert asked[0] is None and asked[1] > 400_000


@pytest.mark.parametrize(
  "answer",
  [
    (416, {}, b""),
    (416, {"Content-Range": "bytes */0"}, b""),
    (206, {"Content-Range": "bytes 5-9/10"}, b"abcde"),
    (206, {"Content-Range": "nonsense"}, b"abcde"),
    (206, {}, b"abcde"),
    (204, {}, b""),
    (202, {}, b"try again later"),
    (200, {}, b""),
    (200, {"Content-Length": 10}, b"abc"),
  ],
)
@pytest.mark.parametrize("part", [b"", b"abc"])
def test_answers_that_fit_nothing_are_errors_and_leave_no_file(
  tmp_path, answer, part
):
  path = tmp_path / "a.npz"
  (tmp_path / "a.npz.part").write_bytes(part)
  (tmp_path / "a.npz.part.version").write_text('"1"')
  pattern = r"put the file at .*a\.npz"
  with (
    _scripted(answer) as (url, asked),
    pytest.raises(ConnectionError, match=pattern),
  ):
    download(url, path)
  assert not path.exists()
  assert len(asked) < 8


def test_a_part_longer_than_the_file_is_fetched_anew(tmp_path):
  path = tmp_path / "a.npz"
  (tmp_path / "a.npz.part").write_bytes(CONTENT + b"more")
  (tmp_path / "a.npz.part.version").write_text('{"tag": "1", "total": 9}')
  refused = 416, {"Content-Range": f"bytes */{len(CONTENT)}"}, b""
  with _scripted(refused, (200, {}, CONTENT)) as (url, _):
    download(url, path, sha256=SHA256)


@pytest.mark.parametrize("status", [404, 500])
def test_passwords_are_not_shown(tmp_path, status, caplog):
  caplog.set_level(logging.INFO, "jaxvision")
  path = tmp_path / "a.npz"
  with _scripted((status, {}, b"")) as (url, _):
    secret = url.replace("://", "://me:pass%20word@") + "?token=abc123"
    with pytest.raises(OSError, match=str(status)) as caught:
      download(secret, path)
  with pytest.raises(ConnectionError, match="cannot be reached") as unreachable:
    download(secret, path)
  with pytest.raises(ConnectionError) as invalid:
    download("http://me:pass%20word@host:port/a?token=abc123", path)
  told = caplog.text + str(caught.value) + str(unreachable.value)
  for text in (told, str(invalid.value)):
    assert "a.npz" in text
    for hidden in ("pass%20word", "pass word", "abc123", "me:"):
      assert hidden not in text
