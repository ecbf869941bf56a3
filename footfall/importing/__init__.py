"""Files in, log out: rows of CSV, JSONL and Parquet become records, are judged, and go into the log.

source -> rows (csv_rows, jsonl_rows, parquet_rows) -> mapping -> records -> batches -> log, with a journal of
how far it came, so that an import that was killed goes on where it was (ADR 0010).
"""
