"""One dock a file; docks show a model and call its methods."""
