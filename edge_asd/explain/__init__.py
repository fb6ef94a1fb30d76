"""Why an alarm was raised: the departure from normal, and its picture."""
