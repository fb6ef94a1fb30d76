"""The FKIE CNN: a whole-clip spectrum branch beside a spectrogram branch."""
