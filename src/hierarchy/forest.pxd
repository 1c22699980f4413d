"""Disjoint sets of observations or components, as an array of parents."""

from libc.stdint cimport int32_t


cdef inline int32_t root_of(int32_t* parent, int32_t node) noexcept nogil:
    """The root of `node`, with path halving."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node
