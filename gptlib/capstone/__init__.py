"""Capstones (given): presets of a run, the band that it should keep within, and what is handed in.

gpt        capstone 1, a GPT of your own; its presets are `gpt_presets.json`
envelopes  how the loss of a preset fell in our runs; the bands are `gpt_envelopes.json`
hand_in    what is handed in: packed, and read as if from a stranger
"""
