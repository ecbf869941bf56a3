"""Coverage-guided fuzzing of the doors: what comes in as bytes, and what must hold whatever they are.

`targets.py` says that, `seeds.py` where a search begins; `make fuzz-doors` searches.
"""
