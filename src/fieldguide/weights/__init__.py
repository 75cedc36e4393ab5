"""Which weights exist, and how they come onto this machine."""
