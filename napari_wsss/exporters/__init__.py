"""Accepted masks to datasets. One file a method; its name is the file's."""
