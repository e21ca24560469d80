"""Write a run configuration, and mapping files, from what was recognised: commented, valid, for a person to look over."""

import json
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from jobs.cli.looking import Found
from jobs.errors import ConfigError, InputDataError
from jobs.run_config import RunConfig
from jobs.settings import PROJECT_ROOT
from jobs.sources.entities import ENTITIES
from jobs.sources.formats import FORMATS
from jobs.sources.guessing import Guess
from jobs.sources.mapping import Mapping

_TOLD_PROBLEMS = 5
_PLAIN = re.compile(r"[A-Za-z_][\w ./-]*")
# Formats whose times carry no offset, and formats that tell of consents.
_WITHOUT_OFFSET = {"generic", "canonical"}
_WITH_CONSENTS = {"ga4", "segment", "snowplow", "shopify_orders", "shopify_customers"}
_PATH_RULES = """\
    # Which requests are which events; the first rule that fits counts. What no rule names is a page_view or custom.
    # rules:
    #   - {path: "^/products?/(?P<item_id>[^/?]+)", event_type: product_view}
    #   - {path: "^/search", event_type: search}
    #   - {path: "^/cart/add", event_type: add_to_cart, method: POST}
    #   - {path: "^/checkout/(thank|done|success)", event_type: purchase}
"""


@dataclass
class Draft:
    """Files to write, and what stands in them.

    Attributes:
        config_path: the run configuration.
        texts: path -> text of each file.
        sources: name of each source -> what was found; in the order of the configuration.
        left_out: what nobody knows.
    """

    config_path: Path
    texts: dict[Path, str] = field(default_factory=dict)
    sources: dict[str, Found] = field(default_factory=dict)
    left_out: list[Found] = field(default_factory=list)


def draft_configuration(found: list[Found], name: str, config_path: Path) -> Draft:
    """Draft the files of a run.

    Args:
        found: what lies at the place.
        name: of the run.
        config_path: where the run configuration will be; mapping files go to `mappings/` beside it.

    Raises:
        InputDataError: nothing was recognised.
    """
    draft = Draft(config_path)
    blocks = []
    for one in found:
        if not one.format:
            draft.left_out.append(one)
            continue
        source = _name_source(one, draft)
        draft.sources[source] = one
        mapping = ""
        if one.format == "generic" and one.guess:
            path = config_path.parent / "mappings" / f"{name}_{source}.yml"
            draft.texts[path] = write_mapping(one, one.guess, config_path)
            mapping = f"mappings/{path.name}"
        blocks.append(_write_source(source, one, mapping, config_path))
    if not draft.sources:
        told = "; ".join(_one_line(one.problem) for one in draft.left_out[:_TOLD_PROBLEMS])
        raise InputDataError(
            f"nothing there is a log that can be read: {told}; see docs/your-logs.md for what can be, and write a mapping by hand"
        )
    draft.texts[config_path] = _write_config(draft, name, blocks)
    _check(draft)
    return draft


def make_name(text: str) -> str:
    """A name for a run or a source: lower case letters, digits and underscores."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if name and not name[0].isdigit() else f"s_{name}".strip("_")


def write_key(env_path: Path) -> None:
    """Make a `PERSONALAKE_KEY` and write it into a `.env`, which only its owner may read from then on.

    Args:
        env_path: the file; what else stands in it stays.
    """
    line = f"PERSONALAKE_KEY={secrets.token_hex(32)}"
    lines = env_path.read_text(encoding="utf-8").splitlines() if env_path.exists() else []
    kept = [text for text in lines if text.strip() != "PERSONALAKE_KEY="]
    draft = env_path.with_name(f"{env_path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write("\n".join([*kept, line]) + "\n")
    draft.replace(env_path)


def write_draft(draft: Draft) -> None:
    """Write the files; none when one is there already.

    Raises:
        ConfigError: one is there, or a folder cannot be written to.
    """
    if there := [str(path) for path in draft.texts if path.exists()]:
        raise ConfigError(
            f"writing {', '.join(there)}: it is there already and is kept; choose another --name or --output, "
            "or move it away"
        )
    for path, text in draft.texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as err:
            raise ConfigError(
                f"writing {path}: {err.strerror}; choose another place with --output"
            ) from err


def _check(draft: Draft) -> None:
    """What is written must be readable; a fault here is this program's."""
    for path, text in draft.texts.items():
        content = yaml.safe_load(text)
        if path == draft.config_path:
            RunConfig.model_validate(content)
        else:
            Mapping.model_validate(content)


def _name_source(found: Found, draft: Draft) -> str:
    if found.format in FORMATS:
        stem = found.format
    else:
        ending = re.compile(
            r"(\.(csv|tsv|txt|jsonl?|ndjson|parquet|pq|gz|zst|bz2|log))+$", re.IGNORECASE
        )
        stem = ending.sub("", Path(found.path).name).replace("*", "_")
        stem = re.sub(r"[\d._T-]{4,}", "_", stem).strip("_-. ") or (
            found.guess.entity if found.guess else "logs"
        )
    name = make_name(stem)
    if name in draft.sources:
        name = make_name(f"{Path(found.files[-1].path).parent.name}_{name}")
    base, number = name, 2
    while name in draft.sources:
        name, number = f"{base}_{number}", number + 1
    return name


def _write_source(name: str, found: Found, mapping: str, config_path: Path) -> str:
    files = "1 file" if len(found.files) == 1 else f"{len(found.files)} files"
    lines = [f"  - name: {name}"]
    if found.format != "generic":
        title = (
            FORMATS[found.format].title
            if found.format in FORMATS
            else "columns named as the lake's are"
        )
        lines.append(f"    format: {found.format} # {title}")
    lines.append(f"    path: {_scalar(_relative(found.path, config_path))} # {files}")
    if found.is_loose:
        lines.append(
            "    # This pattern takes files of other kinds, too: move these apart before you load."
        )
    if mapping:
        lines.append(f"    mapping: {mapping} # guessed: look it over")
    if found.format == "canonical" and found.guess:
        lines.append(f"    entity: {found.guess.entity}")
    if found.head.encoding != "utf-8" and not mapping:
        lines.append(f"    encoding: {found.head.encoding}")
    if found.format in _WITHOUT_OFFSET and not mapping:
        lines.append(
            "    # time_zone: Europe/Berlin # of times that carry no offset; UTC unless set"
        )
    text = "\n".join(lines) + "\n"
    return text + _PATH_RULES if found.format in {"access_log", "w3c"} else text


def _relative(path: str, config_path: Path) -> str:
    """A path as the configuration may name it: from its own folder, from the project, or in full."""
    if path.startswith("s3://"):
        return path
    full = Path(path).absolute()
    for base in (config_path.parent.absolute(), PROJECT_ROOT):
        if full.is_relative_to(base):
            return full.relative_to(base).as_posix()
    return str(full)


def _write_config(draft: Draft, name: str, blocks: list[str]) -> str:
    currencies = [
        found.guess.currency
        for found in draft.sources.values()
        if found.guess and found.guess.currency
    ]
    currency = max(set(currencies), key=currencies.count) if currencies else "EUR"
    told = (
        " # as most of the sample; amounts in others need exchange rates"
        if currencies
        else " # of your reports"
    )
    has_consents = any(
        found.format in _WITH_CONSENTS or (found.guess and found.guess.entity == "consents")
        for found in draft.sources.values()
    )
    silence = (
        "who is silent is left out of every export"
        if has_consents
        else "no source tells of consents, so nobody would be exported: load them, or write\n"
        "  # `granted` for a trial that stays with you"
    )
    left_out = "".join(
        f"  # Left out: {_one_line(_relative(one.path, draft.config_path))}\n  #   {_one_line(one.problem)}\n"
        for one in draft.left_out
    )
    schema = _schema_line("run.schema.json", draft.config_path.parent)
    return f"""\
{schema}# Written by `personalake init`. Look it over, then:
#   personalake validate --config {_relative(str(draft.config_path), draft.config_path.parent / "x")}
#   personalake run --config ...
name: {name}
folder: {name} # data/{name}/: its own lake, exports and reports
as_of: data_end # the midnight after the last event; `now` for a live shop; or a date
currency: {currency}{told}

# Each source may also have:
#   priority: urgent         # loaded first, and by `extract_urgent_logs` more often
#   currency: EUR            # of amounts that name none
#   starts_at: 2020-01-31    # earlier times are rejected
#   consented: [analytics]   # it sends nothing of visitors who did not agree (docs/consent.md)
#   max_reject_rate: 0.5     # more rejects than this share stop the source: that is a wrong mapping, not dirt
#   encoding: latin-1        # of text that is not UTF-8
#   equal_rows: distinct     # two equal lines of a file are two things (invoices); `once`: one thing told twice (trackers)
#   when_rewritten: replace  # a changed file takes the place of its former rows; `keep`: it adds to them
sources:
{chr(10).join(blocks)}{left_out}
consent:
  purpose: marketing
  # {silence}.
  default: denied
"""


def _schema_line(name: str, folder: Path) -> str:
    """What lets an editor check the file, where the schemas can be found from it."""
    schemas = PROJECT_ROOT / "config" / "schemas"
    base = PROJECT_ROOT / "config"
    resolved = folder.absolute()
    if resolved != base and base not in resolved.parents:
        return ""
    up = "../" * len(resolved.relative_to(base).parts)
    return f"# yaml-language-server: $schema={up}{schemas.name}/{name}\n"


def write_mapping(found: Found, guess: Guess, config_path: Path) -> str:
    """The text of a mapping file."""
    sample = found.sample
    if sample is None:
        raise ValueError("a mapping is written from a sample")
    lines = [
        _schema_line("mapping.schema.json", config_path.parent / "mappings").rstrip("\n"),
        f"# Guessed by `personalake init` from {sample.count_records} records of {_one_line(found.head.name)}: look it over.",
        *(f"# - {_one_line(note)}." for note in guess.notes),
        f"file_type: {sample.file_type}",
        f"entity: {guess.entity}",
    ]
    if sample.file_type == "csv":
        lines.append(f"delimiter: {json.dumps(sample.delimiter)}")
    if found.head.encoding != "utf-8":
        lines.append(f"encoding: {found.head.encoding}")
    lines.append(
        "time_zone: UTC # of times that carry no offset: is it the shop's own, such as Europe/Berlin?"
    )
    if guess.time_format != "iso":
        doubt = " # or is the month first?" if guess.is_day_first_unsure else ""
        lines.append(f"time_format: {_scalar(guess.time_format)}{doubt}")
    if guess.decimal_mark == ",":
        lines.append('decimal_mark: ","')
    if guess.each:
        lines.append(f"each: {_scalar(guess.each)} # one row for each element of this list")
    lines.append(f"columns: # column of raw.{guess.entity}: column of the file")
    lines += [f"  {column}: {_scalar(path)}" for column, path in guess.columns.items()]
    optional = [column for column, path in guess.columns.items() if path in found.optional]
    if optional and sample.file_type == "csv":
        lines.append(f"optional: [{', '.join(optional)}] # some of the files lack them")
    lines += _write_values(guess)
    if guess.user_agent:
        lines.append(f"user_agent: {_scalar(guess.user_agent)} # read to find bots, never stored")
    if guess.entity == "orders":
        lines.append(
            "equal_rows: distinct # two equal lines of an order are two things; `once` if exports repeat them"
        )
    lines += _write_left_out(guess)
    return "\n".join(line for line in lines if line) + "\n"


def _write_values(guess: Guess) -> list[str]:
    lines = []
    if guess.constants:
        lines.append("constants:")
        lines += [f"  {name}: {_scalar(value)}" for name, value in guess.constants.items()]
    if guess.event_names:
        lines.append(
            "event_names: # the log's name of an event: its event type (docs/your-logs.md lists them)"
        )
        lines += [f"  {_scalar(name)}: {type_}" for name, type_ in guess.event_names.items()]
    if guess.unknown_names:
        lines.append(
            "  # Seen and not understood: decide, or their lines are rejected as unknown_event."
        )
        lines += [f"  # {_scalar(name)}: custom" for name in guess.unknown_names]
        lines.append("# other_events: custom # keeps every event whose name is not listed")
    if guess.values:
        lines.append("values: # what the file writes: what it means")
        for column, said in guess.values.items():
            lines.append(f"  {column}:")
            lines += [f"    {_scalar(value)}: {meant}" for value, meant in said.items()]
    return lines


def _write_left_out(guess: Guess) -> list[str]:
    lines = []
    if guess.personal:
        named = ", ".join(map(_scalar, guess.personal))
        lines.append(f"# Left out on purpose, since they look personal: {named}.")
        lines.append("# What is not mapped never reaches the lake.")
    if guess.unread and "properties" not in ENTITIES[guess.entity].columns:
        lines.append(f"# Not read: {', '.join(map(_scalar, guess.unread))}.")
    elif guess.unread:
        lines.append("# Not read. To keep some of these beside the columns above, name them:")
        lines.append("# properties:")
        lines += [f"#   {_property(path)}: {_scalar(path)}" for path in guess.unread]
    return lines


def _one_line(text: str) -> str:
    """A text that stays within its comment, whatever is in the names that it repeats."""
    return " ".join(text.split())


def _property(path: str) -> str:
    return re.sub(r"\W+", "_", path).strip("_") or "value"


def _scalar(text: str) -> str:
    """A text as YAML: plain where it reads back as itself, else quoted."""
    if _PLAIN.fullmatch(text) and not text.endswith(" ") and yaml.safe_load(text) == text:
        return text
    return json.dumps(text, ensure_ascii=False)
