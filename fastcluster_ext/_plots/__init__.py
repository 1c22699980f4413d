"""Pictures of clusterings; they need the extra `plot`. One module a picture.

    silhouette  choose_k      how good a clustering is, how many clusters
    clusters  steps  voronoi  points and centers in a plane
    dendrogram                the tree of a hierarchical clustering, or of an image's colors
    color_scatter  palette    colors of an image

`_axes` finds the axes to draw in and the colors of clusters; `_plane` makes two coordinates of many.
"""
