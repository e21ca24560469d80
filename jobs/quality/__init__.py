"""Quality gates: Great Expectations on what crosses the border (`raw` in; `ml` and `exports` out)."""

from jobs.quality.checking import Outcome
from jobs.quality.gate import GateResult, run_gate
from jobs.quality.suites import SUITES_DIR, Suite, digest_suites, load_suite

__all__ = [
    "SUITES_DIR",
    "GateResult",
    "Outcome",
    "Suite",
    "digest_suites",
    "load_suite",
    "run_gate",
]
