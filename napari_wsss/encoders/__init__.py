"""Image to dense features. One file a method; its name is the file's."""
