"""BEATs: a transformer over spectrogram patches, fine-tuned from its published weights."""
