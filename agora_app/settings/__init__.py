"""What the user has chosen, kept between sessions."""
