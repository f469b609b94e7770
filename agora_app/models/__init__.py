"""Models: state and behaviour of the application without widgets. Each talks to the live session and to the settings."""
