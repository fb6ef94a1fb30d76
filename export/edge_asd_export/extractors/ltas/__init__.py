"""Small networks on the long-term average spectrum: five members, each without a fifth."""
