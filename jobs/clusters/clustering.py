"""Train K-Means on customers' vectors, and assign every customer to the nearest cluster.

Reads `features.customer_features` of the request's `as_of_date`; writes `ml.clusters`, `ml.models`, `ml.model_runs`
(`train`) and `ml.customer_clusters` (`assign`). Equal inputs give equal rows.
"""

import json
from datetime import date
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, Field
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
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

    n_clusters: int | None = Field(default=None, ge=2)  # None: chosen by silhouette
    min_clusters: int = Field(default=2, ge=2)  # one cluster is no segmentation
    max_clusters: int = Field(default=10, ge=2)  # more than ten are not told apart by a person
    # A finer split that is nearly as clear as the clearest one says more about customers.
    silhouette_tolerance: float = Field(default=0.05, ge=0, lt=1)
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
    sample = _draw_sample(features, config.max_training_customers, config.seed)
    priors = measure_priors(sample)
    traits = compute_traits(sample, priors)
    scaling = fit_scaling(traits, priors)
    vectors = scale_traits(traits, scaling)
    n_distinct = len(np.unique(vectors, axis=0))
    if len(scaling.names) < 2 or n_distinct <= config.max_clusters:
        reason = (
            f"customers behave alike: {n_distinct} distinct vectors of {len(scaling.names)} traits"
        )
        return _report_lack(features.height, reason, version)
    n_clusters, silhouettes = choose_n_clusters(vectors, config)
    centres = _fit_centres(vectors, n_clusters, config)
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
            "n_clusters": n_clusters,
            "silhouette": _silhouette(vectors, find_nearest(vectors, centres)[0][:, 0], config),
            "silhouette_by_n_clusters": silhouettes,
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


def choose_n_clusters(vectors: FloatArray, config: ClusterConfig) -> tuple[int, dict[str, float]]:
    """The largest number of clusters whose silhouette is nearly the best, and the silhouettes tried."""
    if config.n_clusters is not None:
        return config.n_clusters, {}
    silhouettes = {}
    for n_clusters in range(config.min_clusters, config.max_clusters + 1):
        centres = _fit_centres(vectors, n_clusters, config)
        labels = find_nearest(vectors, centres)[0][:, 0]
        silhouettes[n_clusters] = _silhouette(vectors, labels, config)
    best = max(silhouettes.values())
    enough = best - config.silhouette_tolerance * abs(best)
    chosen = max(n for n, value in silhouettes.items() if value >= enough)
    return chosen, {str(n): value for n, value in silhouettes.items()}


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


def _silhouette(vectors: FloatArray, labels: npt.NDArray[np.intp], config: ClusterConfig) -> float:
    if len(np.unique(labels)) < 2:
        return -1.0
    rng = np.random.default_rng(config.seed)
    size = min(config.silhouette_sample, len(vectors))
    rows = np.sort(rng.choice(len(vectors), size, replace=False))
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


def _draw_sample(features: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    if features.height <= size:
        return features
    rng = np.random.default_rng(seed)
    return features[np.sort(rng.choice(features.height, size, replace=False))]


def _tabulate_clusters(
    features: pl.DataFrame,
    labels: npt.NDArray[np.intp],
    centres: FloatArray,
    scaling: Scaling,
    version: str,
) -> pl.DataFrame:
    n_clusters = len(centres)
    sizes = np.bincount(labels, minlength=n_clusters)
    buyers = np.bincount(labels, features["count_orders"].to_numpy() > 0, minlength=n_clusters)
    standard = centres / np.array(scaling.weights)
    columns: dict[str, Any] = {
        name: standard[:, position] for position, name in enumerate(scaling.names)
    }
    named = name_clusters(pl.DataFrame({"buyer_share": buyers / np.maximum(sizes, 1)} | columns))
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
