"""Find the passages that answer a question: by meaning, by keywords, fused, then re-ranked word by word."""
