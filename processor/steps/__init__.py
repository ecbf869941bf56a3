"""One file a step; processor/pipeline.py says which steps there are and in what order."""
