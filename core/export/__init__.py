"""People in the formats of other programs."""
