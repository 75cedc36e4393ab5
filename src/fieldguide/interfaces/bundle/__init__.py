"""Fieldguide to take along: one folder from which it is set up where there is no network."""
