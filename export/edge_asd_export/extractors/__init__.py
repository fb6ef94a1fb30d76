"""The trainable extractors, one package each."""
