"""Train K-Means on customers' vectors, and assign every customer to the nearest cluster.

Reads `features.customer_features` of the request's `as_of_date`; writes `ml.clusters`, `ml.models`, `ml.model_runs`
(`train`) and `ml.customer_clusters` (`assign`). Equal inputs give equal rows.
"""

import json
from datetime import date
from typing import Any, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, Field
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits

from jobs.clusters.names import name_clusters
from jobs.clusters.vectors import (
    FloatArray,
    Scaling,
    compute_traits,
    fit_scaling,
    measure_priors,
    scale_traits,
)
from jobs.model_runs import (
    ModelRun,
    make_model_version,
    read_model,
    tabulate_model,
    tabulate_model_run,
    tabulate_no_model,
)
from jobs.stages import Frames, StageRequest

MODEL_NAME = "customer_clusters"
ALGORITHM = "k-means"
_DIGITS = 6  # of centres and distances: finer differences are rounding of sums


class ClusterConfig(BaseModel, frozen=True, extra="forbid"):
    """How customers are clustered."""

    n_clusters: int | None = Field(default=None, ge=2)  # None: chosen by stability and silhouette
    min_clusters: int = Field(default=2, ge=2)  # one cluster is no segmentation
    max_clusters: int = Field(default=10, ge=2)  # more than ten are not told apart by a person
    # Agreement (adjusted Rand index) above which two groupings are called excellent recoveries of one another
    # (Steinley 2004): a split that other customers of the same shop would not give is an accident.
    min_stability: float = Field(default=0.9, ge=0, le=1)
    # The clearest split is a coarse one (buyers, others); a finer one may be that much less clear.
    silhouette_tolerance: float = Field(default=0.2, ge=0, lt=1)
    n_resamples: int = Field(
        default=20, ge=2
    )  # halves of the customers; their mean settles at +-0.02
    selection_customers: int = Field(default=5_000, ge=100)  # enough to tell ten clusters apart
    min_customers: int = Field(default=50, ge=2)  # below it clusters are anecdotes
    max_training_customers: int = Field(default=50_000, ge=100)  # centres do not move beyond it
    silhouette_sample: int = Field(default=3_000, ge=100)  # quadratic in time; +-0.01 at this size
    n_init: int = Field(default=10, ge=1)  # restarts: one start may end in a poor optimum
    seed: int = 42


_CENTRE_SCHEMA = {
    "cluster_id": pl.String,
    "cluster_name": pl.String,
    "description": pl.String,
    "n_customers": pl.Int64,
    "centroid": pl.String,
    "model_version": pl.String,
}
_ASSIGNMENT_SCHEMA = {
    "customer_id": pl.String,
    "cluster_id": pl.String,
    "distance": pl.Float64,
    "runner_up_cluster_id": pl.String,
    "runner_up_distance": pl.Float64,
    "model_version": pl.String,
}


def read_features(con: duckdb.DuckDBPyConnection, as_of_date: date) -> pl.DataFrame:
    """`features.customer_features` of one day, by customer_id."""
    return con.execute(
        "SELECT * FROM features.customer_features WHERE as_of_date = ? ORDER BY customer_id",
        [as_of_date],
    ).pl()


def train(
    con: duckdb.DuckDBPyConnection, request: StageRequest, run_id: str, config: ClusterConfig
) -> Frames:
    """Find the clusters of the customers known at the request's `as_of_date`.

    Returns:
        `ml.clusters`, `ml.models`, `ml.model_runs`; the first two are empty when there are too few customers.
    """
    version = make_model_version(ALGORITHM, config, run_id)
    features = read_features(con, request.as_of_date)
    if features.height < config.min_customers:
        reason = f"{features.height} customers, at least {config.min_customers} are needed"
        return _report_lack(features.height, reason, version)
    sample = features[_draw_rows(features.height, config.max_training_customers, config.seed)]
    priors = measure_priors(sample)
    traits = compute_traits(sample, priors)
    scaling = fit_scaling(traits, priors)
    vectors = scale_traits(traits, scaling)
    n_distinct = len(np.unique(vectors, axis=0))
    if len(scaling.names) < 2 or n_distinct <= (config.n_clusters or config.max_clusters):
        reason = (
            f"customers behave alike: {n_distinct} distinct vectors of {len(scaling.names)} traits"
        )
        return _report_lack(features.height, reason, version)
    choice = choose_n_clusters(vectors, config)
    centres = _fit_centres(vectors, choice.n_clusters, config)
    centres = _order_by_size(centres, vectors)
    # The sizes and shares of all customers, not of the sample.
    everyone = scale_traits(compute_traits(features, priors), scaling)
    labels = find_nearest(everyone, centres)[0][:, 0]
    clusters = _tabulate_clusters(features, labels, centres, scaling, version)
    payload = {
        "scaling": scaling.model_dump(mode="json"),
        "centres": centres.tolist(),
        "cluster_ids": clusters["cluster_id"].to_list(),
    }
    run = ModelRun(
        model_name=MODEL_NAME,
        algorithm=ALGORITHM,
        n_train=sample.height,
        metrics={
            "n_clusters": choice.n_clusters,
            "silhouette": _silhouette(vectors, find_nearest(vectors, centres)[0][:, 0], config),
            "silhouette_by_n_clusters": {str(n): v for n, v in choice.silhouettes.items()},
            "stability": choice.stabilities[choice.n_clusters],
            "stability_by_n_clusters": [
                {"n_clusters": n, "stability": value} for n, value in choice.stabilities.items()
            ],
        },
        parameters=config.model_dump(mode="json") | {"traits": list(scaling.names)},
        model_version=version,
    )
    return {
        "ml.clusters": clusters,
        "ml.models": tabulate_model(MODEL_NAME, payload, version),
        "ml.model_runs": tabulate_model_run(run),
    }


def assign(
    con: duckdb.DuckDBPyConnection, request: StageRequest, run_id: str, config: ClusterConfig
) -> Frames:
    """Assign each customer of `as_of_date` to its nearest cluster of the newest model.

    Returns:
        `ml.customer_clusters`, empty when no model has been trained.
    """
    del run_id, config  # the stored model says everything, its version included
    stored = read_model(con, MODEL_NAME, request.as_of_date)
    features = read_features(con, request.as_of_date)
    if stored is None or features.is_empty():
        return {"ml.customer_clusters": pl.DataFrame(schema=_ASSIGNMENT_SCHEMA)}
    payload, version = stored
    scaling = Scaling.model_validate(payload["scaling"])
    ids = np.array(payload["cluster_ids"], dtype=object)
    vectors = scale_traits(compute_traits(features, scaling.priors), scaling)
    nearest, distances = find_nearest(vectors, np.array(payload["centres"]))
    frame = pl.DataFrame(
        {
            "customer_id": features["customer_id"],
            "cluster_id": ids[nearest[:, 0]].tolist(),
            "distance": distances[:, 0],
            "runner_up_cluster_id": ids[nearest[:, 1]].tolist(),
            "runner_up_distance": distances[:, 1],
            "model_version": [version] * features.height,
        },
        schema=_ASSIGNMENT_SCHEMA,
    )
    return {"ml.customer_clusters": frame}


class Choice(NamedTuple):
    """A number of clusters and what speaks for it.

    Attributes:
        n_clusters: chosen.
        silhouettes: by number of clusters; how clearly groups are set apart (-1 to 1).
        stabilities: by number of clusters that is clear enough; mean agreement of the groupings learnt from halves of
            the customers with the one learnt from all (adjusted Rand index; 1 is the same grouping).
    """

    n_clusters: int
    silhouettes: dict[int, float]
    stabilities: dict[int, float]


def choose_n_clusters(vectors: FloatArray, config: ClusterConfig) -> Choice:
    """The largest number of clusters that repeats on half of the customers and is nearly as clear as the clearest.

    Where no clear number repeats well enough, the one that repeats best. A number fixed in the configuration is measured too.
    """
    vectors = vectors[_draw_rows(len(vectors), config.selection_customers, config.seed)]
    numbers = range(config.min_clusters, config.max_clusters + 1)
    labels = {}
    for n_clusters in numbers if config.n_clusters is None else [config.n_clusters]:
        labels[n_clusters] = find_nearest(vectors, _fit_centres(vectors, n_clusters, config))[0][
            :, 0
        ]
    silhouettes = {n: _silhouette(vectors, found, config) for n, found in labels.items()}
    best = max(silhouettes.values())
    enough = best - config.silhouette_tolerance * abs(best)
    clear = [n for n, value in silhouettes.items() if value >= enough]
    stabilities = {n: _measure_stability(vectors, labels[n], n, config) for n in clear}
    stable = [n for n in clear if stabilities[n] >= config.min_stability]
    chosen = max(stable) if stable else max(clear, key=lambda n: stabilities[n])
    return Choice(chosen, silhouettes, stabilities)


def find_nearest(
    vectors: FloatArray, centres: FloatArray
) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """The two nearest centres of each vector, and the distances to them; the first centre wins a tie.

    Returns:
        Indices and distances, both of shape (n_vectors, 2).
    """
    # A centre at a time: memory stays at n_vectors x n_centres.
    distances = np.column_stack(
        [np.sqrt(((vectors - centre) ** 2).sum(axis=1)) for centre in centres]
    ).round(_DIGITS)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :2]
    return nearest, np.take_along_axis(distances, nearest, axis=1)


def _fit_centres(vectors: FloatArray, n_clusters: int, config: ClusterConfig) -> FloatArray:
    # One thread: several add partial sums in the order in which they happen to end.
    with threadpool_limits(limits=1):
        model = KMeans(n_clusters, n_init=config.n_init, random_state=config.seed).fit(vectors)
    return np.asarray(model.cluster_centers_, dtype=np.float64).round(_DIGITS)


def _measure_stability(
    vectors: FloatArray, labels: npt.NDArray[np.intp], n_clusters: int, config: ClusterConfig
) -> float:
    """Mean agreement of `labels` with the labels that halves of the vectors lead to."""
    rng = np.random.default_rng(config.seed)
    agreements = []
    for _ in range(config.n_resamples):
        size = max(len(vectors) // 2, n_clusters)
        half = np.sort(rng.choice(len(vectors), size, replace=False))
        centres = _fit_centres(vectors[half], n_clusters, config)
        found = find_nearest(vectors, centres)[0][:, 0]
        agreements.append(adjusted_rand_score(labels, found))
    return round(float(np.mean(agreements)), _DIGITS)


def _silhouette(vectors: FloatArray, labels: npt.NDArray[np.intp], config: ClusterConfig) -> float:
    if len(np.unique(labels)) < 2:
        return -1.0
    rows = _draw_rows(len(vectors), config.silhouette_sample, config.seed)
    if len(np.unique(labels[rows])) < 2:
        return -1.0
    with threadpool_limits(limits=1):
        return round(float(silhouette_score(vectors[rows], labels[rows])), _DIGITS)


def _order_by_size(centres: FloatArray, vectors: FloatArray) -> FloatArray:
    """Largest cluster first, so that c1 is the same cluster in every run on the same data."""
    labels = find_nearest(vectors, centres)[0][:, 0]
    sizes = np.bincount(labels, minlength=len(centres))
    order = sorted(range(len(centres)), key=lambda i: (-sizes[i], centres[i].tolist()))
    return centres[order]


def _draw_rows(n_rows: int, size: int, seed: int) -> npt.NDArray[np.intp]:
    """Row numbers of a sample without repetition, in order; all of them if there are no more than `size`."""
    if n_rows <= size:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).choice(n_rows, size, replace=False))


def _tabulate_clusters(
    features: pl.DataFrame,
    labels: npt.NDArray[np.intp],
    centres: FloatArray,
    scaling: Scaling,
    version: str,
) -> pl.DataFrame:
    n_clusters = len(centres)
    sizes = np.bincount(labels, minlength=n_clusters)
    counts = features["count_orders"].to_numpy()
    orders = np.bincount(labels, counts, minlength=n_clusters)
    buyers = np.bincount(labels, counts > 0, minlength=n_clusters)
    orders_per_buyer = counts.sum() / max((counts > 0).sum(), 1)
    standard = centres / np.array(scaling.weights)
    columns: dict[str, Any] = {
        name: standard[:, position] for position, name in enumerate(scaling.names)
    }
    shares = {
        "buyer_share": buyers / np.maximum(sizes, 1),
        "order_ratio": orders / np.maximum(buyers, 1) / max(orders_per_buyer, 1.0),
    }
    named = name_clusters(pl.DataFrame(shares | columns))
    centroids = [
        json.dumps(dict(zip(scaling.names, row.round(4).tolist(), strict=True))) for row in standard
    ]
    return pl.DataFrame(
        {
            "cluster_id": [f"c{number}" for number in range(1, n_clusters + 1)],
            "cluster_name": named["cluster_name"],
            "description": named["description"],
            "n_customers": sizes,
            "centroid": centroids,
            "model_version": [version] * n_clusters,
        },
        schema=_CENTRE_SCHEMA,
    )


def _report_lack(n_customers: int, reason: str, version: str) -> Frames:
    run = ModelRun(
        model_name=MODEL_NAME,
        algorithm=ALGORITHM,
        status="not_enough_data",
        n_train=n_customers,
        message=reason,
        model_version=version,
    )
    return {
        "ml.clusters": pl.DataFrame(schema=_CENTRE_SCHEMA),
        "ml.models": tabulate_no_model(),
        "ml.model_runs": tabulate_model_run(run),
    }
