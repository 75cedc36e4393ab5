"""What is in order and what is not: `fieldguide doctor`."""
