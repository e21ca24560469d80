"""Who is who: how many identifiers became how many customers, what joined them, and what was kept apart."""

from dataclasses import dataclass

from jobs.report.data import ReportData
from jobs.report.figures import Bar, Tile, bar_width, largest, ratio
from jobs.report.model_quality import parse_json
from jobs.report.numbers import count, decimal, percent, phrase

# Why a link joins nobody, in the words of somebody who runs a shop.
_REASONS = {
    "split": "somebody decided so",
    "too_many_persons": "it would join too many people (a family's device, a call centre's address)",
    "conflicting_profiles": "the people have different names or years of birth",
    "conflicting_emails": "a telephone of accounts with different e-mail addresses",
    "two_places": "one account in two countries at once",
    "shared_address": "an address that many share (info@, a kiosk)",
    "improbable": "a match below the threshold",
}


@dataclass(frozen=True)
class KindRow:
    """Identifiers of one kind."""

    kind: str
    n_identifiers: str
    n_customers: str
    n_joined: str


def identity_tiles(data: ReportData) -> list[Tile]:
    """The sums, and the links' quality where the truth is known; empty before identities were resolved."""
    if data.identity_totals.is_empty() or not data.identity_totals["n_identifiers"][0]:
        return []
    row = data.identity_totals.row(0, named=True)
    per_customer = ratio(row["n_identifiers"], row["n_customers"])
    tiles = [
        Tile(
            "Identifiers", count(row["n_identifiers"]), "accounts, addresses, telephones, devices"
        ),
        Tile("Customers", count(row["n_customers"]), f"{decimal(per_customer)} identifiers each"),
        Tile(
            "Links cut",
            count(row["n_cut"]),
            f"{percent(ratio(row['n_cut'], row['n_links']))} of {count(row['n_links'])} links",
        ),
        Tile("Customers changed", count(row["n_changes"]), "merged or split since the lake began"),
    ]
    judged = data.model_runs.filter(data.model_runs["model_name"] == "identity_links")
    if judged.height:
        metrics = parse_json(judged["metrics"][0])
        if "pair_precision" in metrics and "pair_recall" in metrics:
            tiles += [
                Tile(
                    "Precision of links",
                    percent(metrics["pair_precision"]),
                    "of joined pairs are one person's",
                ),
                Tile(
                    "Recall of links",
                    percent(metrics["pair_recall"]),
                    "of a person's pairs that the records tell of",
                ),
            ]
    return tiles


def kind_rows(data: ReportData) -> list[KindRow]:
    """Identifiers by kind, the surest first."""
    return [
        KindRow(
            phrase(row["kind"]),
            count(row["n_identifiers"]),
            count(row["n_customers"]),
            percent(ratio(row["n_joined"], row["n_identifiers"])),
        )
        for row in data.identity_kinds.to_dicts()
    ]


def cut_bars(data: ReportData) -> list[Bar]:
    """Links that were cut, by reason."""
    rows = data.identity_cuts.to_dicts()
    most = largest(rows, "n_links")
    return [
        Bar(
            phrase(row["cut_reason"]),
            count(row["n_links"]),
            bar_width(row["n_links"], most),
            _REASONS.get(row["cut_reason"], ""),
        )
        for row in rows
    ]


def link_bars(data: ReportData) -> list[Bar]:
    """Links that join, by evidence."""
    rows = data.identity_evidence.to_dicts()
    most = largest(rows, "n_links")
    return [
        Bar(phrase(row["link_kind"]), count(row["n_links"]), bar_width(row["n_links"], most))
        for row in rows
    ]
