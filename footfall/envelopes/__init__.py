"""Encrypted envelopes of Sensors Analytics' SDKs: their forms, the keys that open them, what is inside.

Pure code, used by the Sensors door and where dead letters are sent in again.
"""
