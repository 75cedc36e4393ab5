"""Thin fronts: parse, call, render."""
