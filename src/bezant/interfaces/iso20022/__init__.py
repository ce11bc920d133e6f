"""ISO 20022 messages at the edge: what is read from customers and what is written to them."""

from bezant.interfaces.iso20022.pain001 import (
    GroupHeader,
    Pain001,
    Pain001Stream,
    read_pain001,
    stream_pain001,
)

__all__ = ["GroupHeader", "Pain001", "Pain001Stream", "read_pain001", "stream_pain001"]
