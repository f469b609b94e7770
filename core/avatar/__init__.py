"""AGORA-M at run time: packs, identities, and the way from head parameters to Gaussians."""
