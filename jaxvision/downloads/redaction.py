"""URLs without passwords, for messages."""


def without_secrets(url: str) -> str:
  """A URL without user, password and the values of its query."""
  scheme, mark, rest = url.partition("://")
  rest, _, query = rest.partition("?")
  host, slash, name = rest.partition("/")
  host = host.rpartition("@")[2]
  return f"{scheme}{mark}{host}{slash}{name}" + ("?..." if query else "")


def redacted(text: str, url: str) -> str:
  """A library's message about a URL, without the secrets of the URL."""
  text = text.replace(url, without_secrets(url))
  for secret in _secrets(url):
    text = text.replace(secret, "...")
  return text


def _secrets(url: str) -> list[str]:
  """The secret parts of a URL, the longest first."""
  rest, _, query = url.partition("://")[2].partition("?")
  user, at, _ = rest.partition("/")[0].rpartition("@")
  found = [user, *user.split(":", 1)[1:]] if at else []
  return [each for each in (query, *found) if each]
