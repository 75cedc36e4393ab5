"""Fieldguide: ask questions of guides to AI models, answered on this machine, with citations checked by code."""

from fieldguide import offline

offline.switch_off_telemetry()
offline.reach_directly()

__version__ = "0.1.0"
