"""Measures over two aligned streams of frames, each with its convention in its name."""
