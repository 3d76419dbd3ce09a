"""Pseudo-labels to finished masks. One file a method; its name is the file's."""
