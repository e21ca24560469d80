"""Features of real purchases against numbers that others have published of them."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
import yaml

from jobs.lake import connect, transact
from jobs.run_config import load_run_config
from jobs.settings import PROJECT_ROOT, Settings
from jobs.sources.extraction import extract
from tests.integration.dbt.conftest import resolve_identities, run_dbt
from tests.revealing import reveal
from tests.robustness.loader import STARTED_AT

pytestmark = pytest.mark.e2e

NO_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")


def build(
    folder: Path, config_path: Path, variables: dict[str, Any], *, without: str | None = None
) -> duckdb.DuckDBPyConnection:
    """Load what a run configuration names, find out who is who, and build orders and features."""
    settings = Settings(_env_file=None, data_dir=folder)
    extract(settings, load_run_config(config_path), config_path, started_at=STARTED_AT)
    if without:
        transact(settings, lambda con: con.execute(without), message="rows of the test")
    resolve_identities(settings, variables)
    models = ("+fct_orders", "+ftr_customer_features")
    run_dbt(folder, variables, "build", "--select", *models, *NO_TESTS)
    return connect(settings)


RETAIL = {
    "as_of": "2011-12-11T00:00:00+00:00",
    "cutoff_dates": ["2011-12-10"],
    "currency": "GBP",
}


@pytest.fixture(scope="module")
def retail_folder(real_data, tmp_path_factory) -> Path:
    """A lake of the wholesaler's lines with a price above 0, on which the published numbers rest."""
    folder = tmp_path_factory.mktemp("retail")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSONALAKE_REAL_DATA", str(real_data))
        config_path = PROJECT_ROOT / "config/examples/online_retail.yml"
        build(folder, config_path, RETAIL, without="DELETE FROM raw.orders WHERE price = 0").close()
    return folder


@pytest.fixture(scope="module")
def retail(retail_folder) -> pl.DataFrame:
    """The customers at the end of 2011-12-10."""
    con = connect(Settings(_env_file=None, data_dir=retail_folder))
    customers = con.execute(
        "SELECT days_since_last_order AS recency, count_orders AS frequency, gross_value AS value, "
        "total_value, recency_score, frequency_score, monetary_score "
        "FROM features.customer_features WHERE count_orders > 0 ORDER BY customer_id"
    ).pl()
    con.close()
    return customers


def test_online_retail_customers_are_the_published_ones(retail: pl.DataFrame) -> None:
    assert len(retail) == 4_338
    ranges = retail.select(
        pl.concat_list(pl.col(name).min(), pl.col(name).median(), pl.col(name).max()).alias(name)
        for name in ("recency", "frequency")
    )
    assert ranges.row(0) == ([1, 51, 374], [1, 2, 209])
    assert retail.filter(pl.col("frequency") == 1).height == 1_493
    value = retail["value"]
    assert (value.min(), value.max()) == pytest.approx((3.75, 280_206.02), abs=0.005)
    assert value.median() == pytest.approx(674.48, abs=0.006)
    assert value.sum() == pytest.approx(8_911_407.90, abs=0.005)


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("recency", [13, 33, 72, 180]),
        ("frequency", [1, 2, 3, 6]),
        ("value", [250.19, 490.10, 942.28, 2_058.43]),
    ],
)
def test_online_retail_quintile_limits_are_the_published_ones(retail, name, limits) -> None:
    # Of whole days and orders a value that somebody has; of money what lies between two.
    interpolation = "linear" if name == "value" else "lower"
    found = [retail[name].quantile(part / 5, interpolation) for part in range(1, 5)]

    assert found == pytest.approx(limits, abs=0.006)


@pytest.mark.parametrize(
    ("name", "score", "limits"),
    [
        ("recency", 6 - pl.col("recency_score"), [13, 33, 72, 180]),
        ("frequency", pl.col("frequency_score"), [1, 2, 3, 6]),
    ],
)
def test_online_retail_scores_part_at_the_published_limits(retail, name, score, limits) -> None:
    by_limits = 1 + sum((pl.col(name) > limit).cast(pl.Int64) for limit in limits)

    assert retail.filter(score != by_limits).is_empty()


def test_online_retail_monetary_scores_are_fifths_of_the_net_value(retail) -> None:
    values = retail["total_value"].sort()
    limits = [values[math.ceil(len(values) * part / 5) - 1] for part in range(1, 5)]
    by_limits = 1 + sum((pl.col("total_value") > limit).cast(pl.Int64) for limit in limits)

    assert retail.filter(pl.col("monetary_score") != by_limits).is_empty()


def find_breaks(values: Sequence[float], classes: int) -> list[float]:
    """The lowest value of each class of least squared deviations, by trying all partitions of the distinct values."""
    lowest, weights = np.unique(np.array(values, dtype=float), return_counts=True)
    sums = [np.cumsum([0, *(weights * lowest**power)]) for power in range(3)]

    def cost(first: int, stop: int) -> float:
        n, total, squares = (float(column[stop] - column[first]) for column in sums)
        return squares - total**2 / n

    best = {stop: (cost(0, stop), [0]) for stop in range(1, len(lowest) + 1)}
    for _ in range(classes - 1):
        best = {
            stop: min(
                (best[first][0] + cost(first, stop), [*best[first][1], first])
                for first in best
                if first < stop
            )
            for stop in range(min(best) + 1, len(lowest) + 1)
        }
    return [float(lowest[start]) for start in best[len(lowest)][1]]


def test_online_retail_natural_breaks_are_those_of_an_exhaustive_search(
    retail, retail_folder
) -> None:
    models = ("int_rfm_bins", "int_rfm_breaks", "int_rfm_bounds", "int_rfm_scores")
    run_dbt(retail_folder, RETAIL | {"rfm_method": "jenks"}, "run", "--select", *models)
    con = connect(Settings(_env_file=None, data_dir=retail_folder))
    bounds, highest = (
        con.execute(text).fetchall()
        for text in (
            "SELECT CAST(lower_bound AS DOUBLE) FROM intermediate.int_rfm_bounds "
            "WHERE dimension = 'frequency' ORDER BY score",
            "SELECT count(*) FROM intermediate.int_rfm_scores WHERE frequency_score = 5",
        )
    )
    con.close()

    # Fewer than 200 different numbers of orders: each is a bin of its own.
    expected = find_breaks(retail["frequency"].to_list(), 5)
    assert [bound for (bound,) in bounds] == expected
    assert highest == [(retail.filter(pl.col("frequency") >= expected[4]).height,)]


@pytest.fixture(scope="module")
def cdnow(real_data, tmp_path_factory) -> duckdb.DuckDBPyConnection:
    """The sample of a tenth of the customers, as it was at the end of the calibration period."""
    folder = tmp_path_factory.mktemp("cdnow")
    example = yaml.safe_load((PROJECT_ROOT / "config/mappings/cdnow.yml").read_text())
    example |= {
        "pattern": r"^\s*\d+\s+(?P<order>(?P<customer>\d{4})\s+(?P<day>\d{8}))"
        r"\s+(?P<pieces>\d+)\s+(?P<dollars>\d+\.\d+)\s*$",
        "skipped_lines": 0,
    }
    (folder / "mapping.yml").write_text(yaml.safe_dump(example))
    source = {
        "name": "purchases",
        "path": str(real_data / "cdnow/CDNOW_sample.txt.gz"),
        "mapping": "mapping.yml",
    }
    config = {"name": "cdnow_sample", "currency": "USD", "sources": [source]}
    (folder / "run.yml").write_text(yaml.safe_dump(config))
    return build(
        folder,
        folder / "run.yml",
        {"as_of": "1997-10-01T00:00:00+00:00", "cutoff_dates": ["1997-09-30"], "currency": "USD"},
    )


@pytest.fixture(scope="module")
def published(real_data) -> list[tuple[str, int, float, float]]:
    """Of each customer: repeat purchases, weeks from the first to the last, weeks since the first."""
    with (real_data / "cdnow/cdnow_customers_summary.csv").open(newline="") as file:
        return [
            (f"{int(row['ID']):04}", int(row["frequency"]), float(row["recency"]), float(row["T"]))
            for row in csv.DictReader(file)
        ]


def test_cdnow_orders_tell_the_published_summary(cdnow, published) -> None:
    found = cdnow.execute(
        """
        SELECT
            customer_id, count(DISTINCT ordered_at::DATE) - 1,
            round((max(ordered_at::DATE) - min(ordered_at::DATE)) / 7, 2),
            round((DATE '1997-09-30' - min(ordered_at::DATE)) / 7, 2)
        FROM core.orders GROUP BY customer_id
        """
    ).fetchall()

    assert len(published) == 2_357
    assert sorted(reveal(found)) == published


def test_cdnow_features_tell_the_published_summary(cdnow, published) -> None:
    found = cdnow.execute(
        """
        SELECT
            customer_id, count_orders - 1, round((days_since_first_order - days_since_last_order) / 7, 2),
            round(days_since_first_order / 7, 2)
        FROM features.customer_features
        """
    ).fetchall()
    rhythms = cdnow.execute(
        "SELECT count(*), count(*) FILTER (WHERE abs((count_orders - 1) * mean_days_between_orders "
        "- (days_since_first_order - days_since_last_order)) < 0.001) "
        "FROM features.customer_features WHERE mean_days_between_orders IS NOT NULL"
    ).fetchall()

    assert sorted(reveal(found)) == published
    assert rhythms == [(946, 946)]
