"""User encoders: from what is known of a user to an embedding, and a profile in words."""
