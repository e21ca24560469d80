"""Customer clusters: K-Means on what customers do, named by what sets each cluster apart."""

from jobs.clusters.clustering import ClusterConfig, assign, train

__all__ = ["ClusterConfig", "assign", "train"]
