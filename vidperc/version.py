"""The version of vidperc."""

__version__ = "0.1.0"
