"""One page an analysis: docstring, spec, SQL, result, fold."""
