"""A person's rights: everything of them handed out, or erased so that nothing brings it back.

person.py    who is behind an id, and all ids of theirs
erasure.py   the job that erases a person, step by step
export.py    everything of a person as lines of JSON
"""
