"""Step: what the SDK says of itself in `lib` becomes properties, where the properties do not say it
already.
"""

from __future__ import annotations

from processor.event_block import EventBlock, select_sparse, transpose


def put_lib(block: EventBlock) -> EventBlock:
    """`lib`'s entries ($lib, $lib_version, $lib_method, $lib_detail, $app_version), texts that are not
    empty.
    """
    for name, sparse in transpose([record.lib or {} for record in block.records]).items():
        if name.startswith("$"):
            texts = select_sparse(sparse, [type(value) is str and value != "" for value in sparse.values])
            block = block.put(name, texts.rows, texts.values)
    return block
