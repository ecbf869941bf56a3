"""HTTP in and out: what each URL takes and gives."""
