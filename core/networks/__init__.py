"""AGORA's generator: a latent and a head shape in, Gaussians on the expressive head out. Loaded only where torch is wanted."""
