"""Mine frequent sequences of steps, and what comes next.

Reads `features.customer_events` of the lookback; writes `ml.journey_patterns` and `ml.model_runs`. A sequence is found in
a session when its steps occur in that order, with other steps allowed between them (PrefixSpan, Pei et al. 2001).
Immediate repetitions of a step count once.
"""

from datetime import timedelta
from typing import Any

import duckdb
import polars as pl
from prefixspan import PrefixSpan

from jobs.journeys.config import JourneyConfig
from jobs.model_runs import ModelRun, make_model_version, tabulate_model_run
from jobs.stages import Frames, StageRequest

MODEL_NAME = "journey_patterns"
ALGORITHM = "prefixspan"
_DIGITS = 6

_PATTERN_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "steps": pl.List(pl.String),
    "next_step": pl.String,
    "n_steps": pl.Int64,
    "n_sessions": pl.Int64,
    "support_rate": pl.Float64,
    "confidence": pl.Float64,
    "lift": pl.Float64,
}

# Equal sessions are folded into one with its number: there are few distinct ones, and mining cost follows them.
_SEQUENCES_SQL = """
with steps as (
    select session_id, customer_id, event_type, occurred_at, event_id
    from features.customer_events
    where occurred_at >= $since and occurred_at < $as_of
        and list_contains($steps, event_type)
),
changes as (
    select *
    from steps
    qualify event_type is distinct from lag(event_type) over (
        partition by session_id order by occurred_at, event_id
    )
),
numbered as (
    select
        session_id, event_type,
        row_number() over (partition by session_id order by occurred_at, event_id) as step_number
    from changes
),
sessions as (
    select session_id, list(event_type order by step_number) as sequence
    from numbered
    where step_number <= $max_session_steps
    group by session_id
)
select sequence, count(*) as n_sessions
from sessions
group by sequence
order by n_sessions desc, sequence
"""


def mine(
    con: duckdb.DuckDBPyConnection, request: StageRequest, run_id: str, config: JourneyConfig
) -> Frames:
    """Find the frequent sequences of the lookback before the request's `as_of`.

    Returns:
        `ml.journey_patterns` (most frequent first) and `ml.model_runs`.
    """
    version = make_model_version(ALGORITHM, config, run_id)
    sequences = con.execute(
        _SEQUENCES_SQL,
        {
            "since": request.as_of - timedelta(days=config.lookback_days),
            "as_of": request.as_of,
            "steps": list(config.steps),
            "max_session_steps": config.max_session_steps,
        },
    ).pl()
    n_sessions = int(sequences["n_sessions"].sum())
    patterns = find_patterns(sequences, config)
    is_enough = n_sessions >= config.min_sessions
    message = "" if is_enough else f"{n_sessions} sessions, at least {config.min_sessions} needed"
    run = ModelRun(
        model_name=MODEL_NAME,
        algorithm=ALGORITHM,
        status="ok" if is_enough else "not_enough_data",
        n_train=n_sessions,
        metrics={"n_patterns": patterns.height, "n_distinct_sessions": sequences.height},
        parameters=config.model_dump(mode="json"),
        message=message,
        model_version=version,
    )
    return {
        "ml.journey_patterns": patterns.with_columns(pl.lit(version).alias("model_version")),
        "ml.model_runs": tabulate_model_run(run),
    }


def find_patterns(sequences: pl.DataFrame, config: JourneyConfig) -> pl.DataFrame:
    """Frequent sequences and their next steps.

    Args:
        sequences: distinct sequences: `sequence` (list of steps) and `n_sessions` (how many sessions equal it).
        config: bounds.

    Returns:
        Columns of `ml.journey_patterns`: `n_sessions` and `support_rate` are those of the steps with the next step,
        `confidence` = share of the sessions with the steps in which the next step follows, `lift` = confidence /
        share of all sessions with the next step. Sorted by n_sessions (descending), n_steps, steps, next_step.
    """
    weights = sequences["n_sessions"].to_list()
    n_sessions = sum(weights)
    if n_sessions < config.min_sessions:
        return pl.DataFrame(schema=_PATTERN_SCHEMA)

    def count_sessions(_: list[str], matches: list[tuple[int, int]]) -> int:
        return sum(weights[row] for row, _ in matches)

    miner = PrefixSpan(sequences["sequence"].to_list())
    miner.minlen, miner.maxlen = 1, config.max_length
    threshold = max(config.min_sessions, -(-n_sessions * config.min_support // 1))
    found: list[tuple[int, list[str]]] = miner.frequent(
        threshold, key=count_sessions, bound=count_sessions
    )
    counts = {tuple(steps): count for count, steps in found}
    rows: list[dict[str, Any]] = [
        {
            "steps": list(steps[:-1]),
            "next_step": steps[-1],
            "n_steps": len(steps) - 1,
            "n_sessions": count,
            "support_rate": round(count / n_sessions, _DIGITS),
            "confidence": round(count / counts[steps[:-1]], _DIGITS),
            "lift": round(count / counts[steps[:-1]] * n_sessions / counts[steps[-1:]], _DIGITS),
        }
        for steps, count in counts.items()
        if len(steps) > 1
    ]
    rows.sort(key=lambda row: (-row["n_sessions"], row["n_steps"], row["steps"], row["next_step"]))
    return pl.DataFrame(rows[: config.max_patterns], schema=_PATTERN_SCHEMA)
