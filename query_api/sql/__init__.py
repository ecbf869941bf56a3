"""From specs to SQL text: only parameters carry values, identifiers come from an allow-list."""
