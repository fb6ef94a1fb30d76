"""An alarm: from the scores of windows to what people are told."""
