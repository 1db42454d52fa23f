"""Wikimedia Commons, Wikidata, Openverse and Bing on loopback, as far as a collector can tell.

What they answer follows their public API references; a pass is no proof for the real ones.
"""
