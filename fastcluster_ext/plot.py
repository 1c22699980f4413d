"""Pictures of clusterings; they need matplotlib (extra ``plot``). Each returns the Axes it has drawn in."""

from fastcluster_ext._plots.choose_k import choose_k
from fastcluster_ext._plots.clusters import clusters
from fastcluster_ext._plots.color_scatter import color_scatter
from fastcluster_ext._plots.dendrogram import dendrogram
from fastcluster_ext._plots.palette import palette
from fastcluster_ext._plots.silhouette import silhouette
from fastcluster_ext._plots.steps import steps
from fastcluster_ext._plots.voronoi import voronoi

__all__ = ["choose_k", "clusters", "color_scatter", "dendrogram", "palette", "silhouette", "steps", "voronoi"]
