import json
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from jobs.demo_shop import DemoShopConfig, DemoShopSummary, generate_demo_shop, generation
from jobs.errors import ConfigError
from tests.unit.jobs.demo_shop.conftest import SMALL
from tests.unit.jobs.demo_shop.logs import read_events, read_lines, why_broken

Shop = tuple[Path, DemoShopSummary]


@pytest.fixture(scope="session")
def valid_lines(small_shop: Shop) -> list[str]:
    return [line for _, line in read_lines(small_shop[0]) if why_broken(line) is None]


@pytest.fixture(scope="session")
def events(valid_lines: list[str]) -> list[dict[str, object]]:
    """Return each valid event once, in the order of its first line."""
    return [json.loads(line) for line in dict.fromkeys(valid_lines)]


def snapshot(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_generate_same_config_is_byte_identical(small_shop: Shop, tmp_path: Path) -> None:
    generate_demo_shop(SMALL, tmp_path / "again")
    assert snapshot(tmp_path / "again") == snapshot(small_shop[0])


def test_generate_writes_the_promised_files(small_shop: Shop) -> None:
    days = [(date(2026, 5, 20) + timedelta(days=n)).isoformat() for n in range(41)]
    assert sorted(snapshot(small_shop[0])) == sorted(
        [f"logs/events-{day}.jsonl" for day in days]
        + ["logs/events-2026-06-30-part1.jsonl", "logs/events-2026-06-30-part2.jsonl"]
        + ["catalogue/items.csv", "crm/profiles.csv", "crm/consents.csv", "demo_shop.json"]
        + ["truth/customers.csv", "truth/identities.csv", "truth/next_purchases.csv"]
        + ["truth/counts.json"]
    )


def test_counts_agree_with_the_files(
    small_shop: Shop, valid_lines: list[str], events: list[dict[str, object]]
) -> None:
    directory, summary = small_shop
    counts = json.loads((directory / "truth" / "counts.json").read_text())
    reasons = [why_broken(line) for _, line in read_lines(directory)]
    orders = [event for event in events if event["event"] == "Order Completed"]
    assert counts == summary.model_dump()
    assert counts["count_lines"] == len(reasons)
    assert counts["count_events"] == len(events) == len({event["id"] for event in events})
    assert counts["count_duplicates"] == len(valid_lines) - len(events)
    assert counts["count_broken"] == {kind: reasons.count(kind) for kind in counts["count_broken"]}
    assert min(counts["count_broken"].values()) > 0
    assert counts["count_order_lines"] == len(orders)
    assert counts["count_orders"] == len({order["order_id"] for order in orders})
    assert counts["count_refunds"] == sum(e["event"] == "Order Refunded" for e in events)


def test_lines_in_a_file_are_ordered_by_received(small_shop: Shop) -> None:
    received = [
        (name, json.loads(line)["received"])
        for name, line in read_lines(small_shop[0])
        if why_broken(line) is None
    ]
    assert received == sorted(received)


def test_late_events_stand_in_the_file_of_the_day_received(small_shop: Shop) -> None:
    directory, summary = small_shop
    first_file: dict[str, tuple[str, dict[str, str]]] = {}
    for name, line in read_lines(directory):
        if why_broken(line) is None:
            event = json.loads(line)
            first_file.setdefault(event["id"], (name, event))
    waits = {
        name_event[1]["id"]: datetime.fromisoformat(name_event[1]["received"])
        - datetime.fromisoformat(name_event[1]["ts"])
        for name_event in first_file.values()
    }
    late = [first_file[i] for i, wait in waits.items() if wait >= timedelta(hours=2)]
    assert len(late) == summary.count_late_events > 10
    assert max(waits.values()) <= timedelta(days=2)
    assert min(waits.values()) > timedelta(0)
    assert all(event["received"][:10] == name[7:17] for name, event in late)


def test_bots_are_few_visitors_with_many_events(
    small_shop: Shop, events: list[dict[str, object]]
) -> None:
    people = pl.read_csv(small_shop[0] / "truth" / "customers.csv")
    agents = ("bot", "python-requests", "Windows NT 6.1")
    bots = [e for e in events if any(a in str(e.get("user_agent")) for a in agents)]
    assert len(bots) == small_shop[1].count_bot_events
    assert 2 <= len({bot["anonymous_id"] for bot in bots}) <= 7
    assert not {bot["anonymous_id"] for bot in bots} & set(people["anonymous_id"])


def test_orders_refunds_and_discounts_add_up(events: list[dict[str, object]]) -> None:
    bought = {
        (e["order_id"], e["product"]["id"]): e  # type: ignore[index]
        for e in events
        if e["event"] == "Order Completed"
    }
    refunds = [e for e in events if e["event"] == "Order Refunded"]
    assert refunds
    for refund in refunds:
        line = bought[refund["order_id"], refund["product"]["id"]]  # type: ignore[index]
        assert refund["product"] == line["product"]
        assert 1 <= refund["quantity"] <= line["quantity"]  # type: ignore[operator]
        assert refund["ts"] > line["ts"]  # type: ignore[operator]


def test_sign_in_names_both_ids(events: list[dict[str, object]]) -> None:
    sign_ins = [event for event in events if event["event"] == "Signed In"]
    assert len(sign_ins) > 20
    assert all(event["anonymous_id"] and event["user_id"] for event in sign_ins)


def test_crm_ids_are_unique_and_consents_have_profiles(small_shop: Shop) -> None:
    profiles = pl.read_csv(small_shop[0] / "crm" / "profiles.csv")
    consents = pl.read_csv(small_shop[0] / "crm" / "consents.csv")
    assert profiles["user_id"].is_unique().all()
    assert profiles["email"].str.contains(r"@(example\.(com|org)|[a-z0-9-]+\.example)$").all()
    assert profiles["updated_at"].max() < "2026-07-01"  # type: ignore[operator]
    assert set(consents["user_id"]) == set(profiles["user_id"])
    assert set(consents["purpose"]) == {"analytics", "marketing", "personalisation"}


def test_next_purchases_follow_the_logs(small_shop: Shop) -> None:
    purchases = pl.read_csv(small_shop[0] / "truth" / "next_purchases.csv")
    items = pl.read_csv(small_shop[0] / "catalogue" / "items.csv")
    profiles = pl.read_csv(small_shop[0] / "crm" / "profiles.csv")
    assert purchases.height > 10
    assert purchases["purchased_at"].min() >= "2026-07-01T00:00:00Z"  # type: ignore[operator]
    assert purchases["purchased_at"].max() < "2026-07-31T00:00:00Z"  # type: ignore[operator]
    assert set(purchases["item_id"]) <= set(items["item_id"])
    assert set(purchases["user_id"]) <= set(profiles["user_id"])


def test_archetypes_differ(small_shop: Shop, tmp_path: Path) -> None:
    config = DemoShopConfig(n_customers=600, n_days=84)
    generate_demo_shop(config, tmp_path / "shop")
    logged = read_events(tmp_path / "shop")
    facts = pl.DataFrame(
        {
            "user_id": [e.get("user_id") for e in logged],
            "event": [e["event"] for e in logged],
            "price": [e.get("product", {}).get("price") for e in logged],
        },
        schema_overrides={"price": pl.Float64},
    ).drop_nulls("user_id")
    means = (
        facts.join(pl.read_csv(tmp_path / "shop" / "truth" / "customers.csv"), on="user_id")
        .group_by("archetype")
        .agg(
            (pl.col("event") == "Order Completed").sum() / pl.col("user_id").n_unique(),
            pl.col("price").mean(),
            wishes=(pl.col("event") == "Product Added to Wishlist").mean(),
        )
    )
    by = {row["archetype"]: row for row in means.to_dicts()}
    assert len(by) == 6
    assert by["loyal_regular"]["event"] > 2 * by["one_timer"]["event"]
    assert by["one_timer"]["event"] > 2 * by["window_shopper"]["event"]
    assert by["big_spender"]["price"] > 1.5 * by["loyal_regular"]["price"]
    assert by["bargain_hunter"]["price"] < by["loyal_regular"]["price"]
    assert by["bargain_hunter"]["wishes"] > 2 * by["loyal_regular"]["wishes"]


def test_generate_again_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SMALL.model_copy(update={"n_customers": 30})
    first = generate_demo_shop(config, tmp_path / "shop")
    monkeypatch.setattr(generation, "_simulate", lambda _: pytest.fail("simulated again"))
    assert generate_demo_shop(config, tmp_path / "shop") == first


def test_generate_other_config_replaces_the_whole(tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"n_customers": 30})
    generate_demo_shop(config, tmp_path / "shop")
    (tmp_path / "shop" / "logs" / "events-1999-01-01.jsonl").write_text("stale\n")
    generate_demo_shop(config.model_copy(update={"seed": 2}), tmp_path / "shop")
    generate_demo_shop(config.model_copy(update={"seed": 2}), tmp_path / "fresh")
    assert snapshot(tmp_path / "shop") == snapshot(tmp_path / "fresh")


def test_generate_exception_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, _total: int) -> None:
        if done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_demo_shop(SMALL, tmp_path / "shop", on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_generate_foreign_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("not a shop")
    with pytest.raises(ConfigError, match=r"demo_shop\.json"):
        generate_demo_shop(SMALL, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "not a shop"


def test_on_progress_runs_from_zero_to_all_lines(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    summary = generate_demo_shop(SMALL, tmp_path / "s", lambda *call: calls.append(call))
    assert calls[0] == (0, summary.count_lines)
    assert calls[-1] == (summary.count_lines, summary.count_lines)
