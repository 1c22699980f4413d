"""Clusters under a tree of bounding boxes (cluster_tree.h)."""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t


cdef extern from "hierarchy/cluster_tree.h" nogil:
    enum:
        TREE_LEAF

    ctypedef enum tree_rule:
        TREE_SUM
        TREE_WARD
        TREE_MEASURED
        TREE_POINTS

    ctypedef struct cluster_tree:
        tree_rule rule
        ptrdiff_t p
        ptrdiff_t depth
        double* boxes
        double* blocks
        double* lows
        int32_t* ids
        int32_t* place
        double (*measure)(const void* context, int32_t a, int32_t b, double enough) noexcept nogil
        const void* context
        double slack

    ptrdiff_t tree_box_size(ptrdiff_t p) noexcept
    ptrdiff_t tree_depth(ptrdiff_t n) noexcept
    ptrdiff_t tree_row_size(ptrdiff_t p, bint with_lows) noexcept
    void tree_split(double* rows, ptrdiff_t p, ptrdiff_t n, ptrdiff_t level, ptrdiff_t node,
                    bint with_lows) noexcept
    void tree_fill(cluster_tree* tree, ptrdiff_t leaf, const double* rows, ptrdiff_t n, bint with_lows) noexcept
    void tree_fit_nodes(cluster_tree* tree) noexcept
    bint tree_has_lows(tree_rule rule) noexcept
    ptrdiff_t tree_list(const cluster_tree* tree, int32_t* ids) noexcept
    ptrdiff_t tree_collect(const cluster_tree* tree, double* rows) noexcept
