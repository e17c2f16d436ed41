"""A web server in a thread, which can simulate failures."""

import contextlib
import dataclasses
import http.client
import http.server
import re
import threading
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Site:
  """A running server, and the requests that it got.

  Attributes:
    url: of its root, without a slash at the end.
    files: name -> content; may be changed while it runs.
    cuts: the next answers break off after these numbers of bytes.
    statuses: status codes of the next answers, which then have no file.
    ranges: the requested `Range` of each answered request, or "".
  """

  url: str
  files: dict[str, bytes]
  cuts: list[int]
  statuses: list[int]
  ranges: list[str]


@contextlib.contextmanager
def serve(files: dict[str, bytes], *, resumes: bool = True) -> Iterator[Site]:
  """Serves files on a free port of this machine.

  Args:
    files: name -> content.
    resumes: whether the server supports ranges and versions.
  """
  site = Site("", dict(files), [], [], [])

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
      site.ranges.append(self.headers.get("Range", ""))
      content = site.files.get(self.path.lstrip("/"))
      if site.statuses or content is None:
        self.send_error(site.statuses.pop(0) if site.statuses else 404)
        return
      tag = f'"{hash(content)}"'
      first = _first_byte(self.headers, tag) if resumes else 0
      if first and first >= len(content):
        self.send_response(416)
        self.send_header("Content-Range", f"bytes */{len(content)}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return
      self.send_response(206 if first else 200)
      if first:
        span = f"bytes {first}-{len(content) - 1}/{len(content)}"
        self.send_header("Content-Range", span)
      if resumes:
        self.send_header("ETag", tag)
      self.send_header("Content-Length", str(len(content) - first))
      self.end_headers()
      length = site.cuts.pop(0) if site.cuts else len(content)
      self.wfile.write(content[first : first + length])
      self.close_connection = True

    def log_message(self, *_) -> None:
      pass

  server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
  thread = threading.Thread(target=server.serve_forever, args=(0.01,))
  thread.start()
  try:
    yield dataclasses.replace(
      site, url=f"http://127.0.0.1:{server.server_port}"
    )
  finally:
    server.shutdown()
    thread.join()
    server.server_close()


def _first_byte(headers: http.client.HTTPMessage, tag: str) -> int:
  asked = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
  same = headers.get("If-Range", tag) == tag
  return int(asked[1]) if asked and same else 0
