"""Files from the web: their addresses, their local copies."""

__all__ = ["fetch", "redaction"]
