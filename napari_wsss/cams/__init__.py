"""Tags or class names to class activation maps. One file a method; its name is the file's."""
