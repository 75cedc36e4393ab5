"""The Learn view: recorded runs of this program, opened up stage by stage."""
