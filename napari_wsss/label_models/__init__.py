"""Activation maps and weak labels to pseudo-labels. One file a method; its name is the file's."""
