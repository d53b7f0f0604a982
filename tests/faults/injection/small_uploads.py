"""Fault harness with multipart uploads from 64 KB on instead of many MB."""

from attn_fault_harness import reach as reach

from attn.storage import filesystem

filesystem.UPLOAD_PART_BYTES = 64 << 10
