"""Inference (given): the models that learners write, run with fewer calls and fewer bytes."""
