"""What an event is: its record, names and limits, why one is turned away, and the ids computed from it."""
