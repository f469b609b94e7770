"""People out of the program and into it: export, and import of the published AGORA files."""
