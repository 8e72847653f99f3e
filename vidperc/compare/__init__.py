"""Two videos, or three, to numbers."""
