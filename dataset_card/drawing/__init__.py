"""Stylised dancers, drawn from code: the sample pictures of the eight dances."""
