"""The section "Who is who"."""

import json

from jobs.report.identities import cut_bars, identity_tiles, kind_rows, link_bars

from .frames import make_data, make_frame


def test_section_tells_sums_reasons_and_quality():
    judged = json.dumps({"pair_precision": 0.995, "pair_recall": 0.97})
    data = make_data(
        identity_totals=make_frame("identity_totals", (10, 4, 8, 2, 1)),
        identity_kinds=make_frame("identity_kinds", ("user", 4, 4, 3), ("device", 6, 4, 6)),
        identity_evidence=make_frame("identity_evidence", ("login", 6)),
        identity_cuts=make_frame("identity_cuts", ("two_places", 2), ("of_tomorrow", 1)),
        model_runs=make_frame(
            "model_runs", ("identity_links", "", "1", "ok", 0, 10, judged, "{}", "{}", None)
        ),
    )

    assert [(tile.label, tile.value) for tile in identity_tiles(data)] == [
        ("Identifiers", "10"),
        ("Customers", "4"),
        ("Links cut", "2"),
        ("Customers changed", "1"),
        ("Precision of links", "99.5%"),
        ("Recall of links", "97.0%"),
    ]
    assert [(row.kind, row.n_identifiers, row.n_joined) for row in kind_rows(data)] == [
        ("User", "4", "75.0%"),
        ("Device", "6", "100.0%"),
    ]
    assert [(bar.label, bar.value) for bar in link_bars(data)] == [("Login", "6")]
    assert [(bar.label, bar.width, bar.note) for bar in cut_bars(data)] == [
        ("Two places", 100.0, "one account in two countries at once"),
        ("Of tomorrow", 50.0, ""),
    ]


def test_section_is_empty_before_anybody_is_known():
    assert identity_tiles(make_data()) == []
