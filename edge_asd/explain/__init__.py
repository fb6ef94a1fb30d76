"""Why an alarm was raised: the deviation from normal, and its picture."""
