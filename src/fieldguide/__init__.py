"""Fieldguide: ask questions of guides to AI models, answered on this machine, with citations checked by code."""

from fieldguide import offline, proxies

offline.switch_off_telemetry()
proxies.reach_directly()

__version__ = "0.1.0"
