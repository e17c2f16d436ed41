"""Files from the web and their local copies."""

__all__ = ["fetch", "redaction"]
