"""Rule segments: files that marketers write (config/segments), evaluated as of an instant."""

from jobs.segments.compilation import CompiledSegment, compile_segment
from jobs.segments.definition import Segment, segment_schema
from jobs.segments.loading import load_segment, load_segments
from jobs.segments.membership import digest_segments, evaluate

__all__ = [
    "CompiledSegment",
    "Segment",
    "compile_segment",
    "digest_segments",
    "evaluate",
    "load_segment",
    "load_segments",
    "segment_schema",
]
