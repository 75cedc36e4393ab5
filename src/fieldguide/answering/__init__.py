"""The half that runs for each question: rewrite, search, read, decide, answer, check."""
