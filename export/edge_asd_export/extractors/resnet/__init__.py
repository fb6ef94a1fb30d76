"""The ResNet on both channels: receptive-field-regularised, scored by ArcFace centres."""
