"""What making a person from photographs knows and does, without widgets."""
