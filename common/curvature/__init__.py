"""Measurements of the loss around given weights."""
