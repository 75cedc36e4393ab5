"""The half that runs once, ahead of time: files become documents, documents become passages, passages become an index."""
