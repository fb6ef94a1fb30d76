"""Whether what is heard can be trusted: quality of the signal, drift of normal."""
