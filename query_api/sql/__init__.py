"""From specs to SQL text: only parameters carry values, identifiers come from an allow-list.

Where freedom from SQL injection is guaranteed: every value of a client's goes through Parameters, which gives
back a placeholder; a property's name becomes a column only by storage.columns, else it is a map's key and so
a value, too. What else reaches the text (operators, functions, units, orders) is chosen by code from closed
lists, never taken over. tests/test_query_hostile.py puts hostile text into every string of every request.
"""
