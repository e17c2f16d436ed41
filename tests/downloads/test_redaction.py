import pytest

from jaxvision.downloads import redaction


@pytest.mark.parametrize(
  ("address", "shown"),
  [
    ("https://me:pw@host/a.npz", "https://host/a.npz"),
    ("https://token@host:80/a/b.npz?sig=1&x=2", "https://host:80/a/b.npz?..."),
    ("https://host/pkg@1.0/a.npz", "https://host/pkg@1.0/a.npz"),
    ("gs://bucket/a.npz", "gs://bucket/a.npz"),
    ("hf-hub:owner/name", "hf-hub:owner/name"),
    ("runs/what?/a@b.npz", "runs/what?/a@b.npz"),
  ],
)
def test_addresses_are_shown_without_passwords(address, shown):
  assert redaction.without_secrets(address) == shown


def test_messages_of_libraries_are_redacted_too():
  url = "https://me:pw%21@host/a.npz?token=t1"
  text = f"Failed to parse: {url} (pool of me:pw%21, /a.npz?token=t1)"
  found = redaction.redacted(text, url)
  assert found == (
    "Failed to parse: https://host/a.npz?... (pool of ..., /a.npz?...)"
  )
