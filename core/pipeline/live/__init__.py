"""The live chain: a source is captured, tracked, animated and drawn by threads that hand on only the newest item."""
