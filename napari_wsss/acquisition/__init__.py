"""Strategies that say where a label would teach most: one file each, pure functions of probabilities."""
