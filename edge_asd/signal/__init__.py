"""Whether the recorded signal can be trusted: silence, clipping, dead or exchanged channels."""
