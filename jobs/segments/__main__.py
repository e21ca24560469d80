"""Print the JSON Schema of a rule file: `python -m jobs.segments > config/schemas/segment.schema.json`."""

import sys

from jobs.segments.definition import segment_schema

sys.stdout.write(segment_schema())
