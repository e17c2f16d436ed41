"""Addresses of the web as they may be shown: without passwords."""


def without_secrets(url: str) -> str:
  """An address as it may be shown: no user, password, or values of a query."""
  scheme, mark, rest = url.partition("://")
  rest, _, query = rest.partition("?")
  host, slash, name = rest.partition("/")
  host = host.rpartition("@")[2]
  return f"{scheme}{mark}{host}{slash}{name}" + ("?..." if query else "")


def redacted(text: str, url: str) -> str:
  """A library's message about an address, without what must not be shown."""
  text = text.replace(url, without_secrets(url))
  for secret in _secrets(url):
    text = text.replace(secret, "...")
  return text


def _secrets(url: str) -> list[str]:
  """The parts of an address that must not be shown, the longest first."""
  rest, _, query = url.partition("://")[2].partition("?")
  user, at, _ = rest.partition("/")[0].rpartition("@")
  found = [user, *user.split(":", 1)[1:]] if at else []
  return [each for each in (query, *found) if each]
