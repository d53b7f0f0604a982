"""The harness, with uploads in pieces from a few KB on rather than from many MB."""

from attn_fault_harness import reach as reach

from attn.storage import filesystem

filesystem.UPLOAD_PART_BYTES = 64 << 10
