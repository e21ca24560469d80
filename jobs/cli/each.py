"""Look at each source of a run by itself, so that one that cannot be read keeps the others from nothing."""

from jobs.cli.looking import read_head
from jobs.errors import InputDataError, TransientError
from jobs.pipeline import PipelineRun
from jobs.pipeline.operations import list_sources
from jobs.sources.plan import plan_sources
from jobs.sources.recognition import recognise_format
from jobs.sources.replaying import ReplayResult, replay
from jobs.sources.sampling import SourceSample, sample_sources


def sample_each(run: PipelineRun) -> tuple[list[SourceSample], dict[str, str]]:
    """Sample the sources one by one; tells of each that cannot be read why.

    Raises:
        ConfigError: a mapping is wrong, or does not fit its files.
        InputDataError, TransientError: the only source cannot be read.
    """
    samples: list[SourceSample] = []
    faults: dict[str, str] = {}
    for source in run.config.sources:
        alone = run.config.model_copy(update={"sources": (source,)})
        try:
            samples += sample_sources(alone, run.config_path, run.started_at)
        except (InputDataError, TransientError) as err:
            if len(run.config.sources) == 1:
                raise
            faults[source.name] = str(err)
    return samples, faults


def replay_each(run: PipelineRun) -> tuple[list[ReplayResult], dict[str, str]]:
    """Read the rejected lines of the sources again, one source by one; tells of each that cannot be read why.

    Raises:
        ConfigError: a mapping is wrong, a source has no such name, or the key of rejected lines is another one.
    """
    results: list[ReplayResult] = []
    faults: dict[str, str] = {}
    for name in list_sources(run):
        try:
            results += replay(
                run.settings,
                run.config,
                run.config_path,
                started_at=run.started_at,
                sources=(name,),
            )
        except (InputDataError, TransientError) as err:
            faults[name] = str(err)
    return results, faults


def doubt_formats(run: PipelineRun, samples: list[SourceSample]) -> dict[str, str]:
    """Of the sources whose newest file looks like another format than the declared one, what it looks like."""
    doubts: dict[str, str] = {}
    for sample in samples:
        [source] = plan_sources(run.config, run.config_path, names=(sample.name,))
        if source.config.is_database or not source.files or not source.files[-1].size_bytes:
            continue
        found = recognise_format(read_head(source.files[-1]))
        if found and found != source.config.format:
            doubts[sample.name] = (
                f"{source.files[-1].path.rpartition('/')[2]} looks like {found}: `format: {found}` would read it, "
                "and needs no mapping"
            )
    return doubts
