"""What the training wizard knows and does, without widgets."""
