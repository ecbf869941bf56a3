"""What a client may ask, as frozen values: one model a concept, and a 422 for everything unknown."""
