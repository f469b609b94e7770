"""What generated pictures are judged by; `trainer.evaluate` puts the numbers together."""
