"""Training (given): one run for all chapters, and what it is made of.

run         `fit`: train a model, or go on where its last checkpoint stands
loop        the steps of a run
batches     windows of a row of tokens, in an order that a step's number decides
optimizer   AdamW and Muon, and the learning rate of a step
checkpoint  a run on the disk, whole or not at all
log         `log.csv`, a line now and then, a curve, and a guard against bad steps
devices     CPU, GPU or several, and their precision
notebooks   `budget` and `record`, for the cells of chapters
"""
from .loop import Settings
from .notebooks import budget, record
from .run import Run, fit, next_token_loss

__all__ = ["Run", "Settings", "budget", "fit", "next_token_loss", "record"]
