"""What is done to judged records on their way into the log, at every door: tracking plan, privacy."""
