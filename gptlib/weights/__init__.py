"""Published weights (given): read, fetched, written and compared, never unpickled; one file a family of models."""
