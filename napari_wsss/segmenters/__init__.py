"""Networks that the trainer fits to a project: one recipe a file."""
