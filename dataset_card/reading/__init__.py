"""Photographs: from a file to pixels, hashes and clean bytes."""
