"""Dendrograms: from merges to SciPy's Z, and everything that is read off a Z. All of it iterative.

Nodes are numbered as in Z: observations 0..n-1, then the merge of row i is node n + i. `left` and `right` are columns
0 and 1 of Z as integers; a node's children always come before it.
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange
from libc.math cimport INFINITY, sqrt
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t, int64_t

from common.scratch cimport scratch_allocate, scratch_free


cdef extern from "hierarchy/minplus.h" nogil:
    void minplus_row(const double* left, const double* right, ptrdiff_t stride, ptrdiff_t count, ptrdiff_t width,
                     double* out) noexcept


cdef extern from *:
    void prefetch "__builtin_prefetch"(const void* at) noexcept nogil


cdef enum:
    AHEAD = 16  # merges whose observations are fetched in advance: in order of height they are all over the memory


cdef struct forest_node:
    # Of a union of observations: whom to ask for the root, and, of a root, the cluster in Z and how many there are in it.
    int32_t parent
    int32_t name
    int32_t size


cdef int32_t _root(forest_node* forest, int32_t node) noexcept nogil:
    """The root of `node`, with path halving."""
    while forest[node].parent != node:
        forest[node].parent = forest[forest[node].parent].parent
        node = forest[node].parent
    return node


cdef double _cluster(forest_node* root, ptrdiff_t n) noexcept nogil:
    """The number in Z of a root's cluster: an observation, or n + the row that made it (which may not fit in 32 bits)."""
    return root.name if root.size == 1 else <double>n + root.name


def label_merges(const int32_t[:, ::1] pairs, const int64_t[::1] order, double[:, ::1] z):
    """Columns 0, 1 and 3 of Z from an observation of each of the two clusters of every merge, taken in `order`."""
    cdef ptrdiff_t n = z.shape[0] + 1, i
    cdef int32_t a, b, node
    cdef forest_node* forest = <forest_node*>scratch_allocate(n * sizeof(forest_node))
    with nogil:
        for i in range(n):
            forest[i].parent = forest[i].name = <int32_t>i
            forest[i].size = 1
        for i in range(n - 1):
            if i + AHEAD < n - 1:
                prefetch(&forest[pairs[0, order[i + AHEAD]]])
                prefetch(&forest[pairs[1, order[i + AHEAD]]])
            a = _root(forest, pairs[0, order[i]])
            b = _root(forest, pairs[1, order[i]])
            z[i, 0] = min(_cluster(&forest[a], n), _cluster(&forest[b], n))
            z[i, 1] = max(_cluster(&forest[a], n), _cluster(&forest[b], n))
            if forest[a].size > forest[b].size:
                node = a
                a = b
                b = node
            forest[a].parent = b
            forest[b].size += forest[a].size
            forest[b].name = <int32_t>i
            z[i, 3] = forest[b].size
    scratch_free(forest)


def node_sums(const int64_t[::1] left, const int64_t[::1] right, double[::1] values):
    """values (2 n - 1; those of observations are given): each merge's value becomes the sum of its children's."""
    cdef ptrdiff_t n = left.shape[0] + 1, i
    for i in range(n - 1):
        values[n + i] = values[left[i]] + values[right[i]]


def node_maxima(const int64_t[::1] left, const int64_t[::1] right, double[::1] values):
    """values (n - 1): each merge's value becomes the greatest of its own and those of all merges below."""
    cdef ptrdiff_t n = left.shape[0] + 1, i
    for i in range(n - 1):
        if left[i] >= n and values[left[i] - n] > values[i]:
            values[i] = values[left[i] - n]
        if right[i] >= n and values[right[i] - n] > values[i]:
            values[i] = values[right[i] - n]


def leaf_ranges(const int64_t[::1] left, const int64_t[::1] right, int64_t[::1] leaves, int64_t[:, ::1] ranges):
    """leaves: observations from left to right; ranges (2 n - 1, 2): first and last + 1 of them below each node."""
    cdef ptrdiff_t n = left.shape[0] + 1, i, node, middle
    cdef int64_t[::1] count = _integers(2 * n - 1)
    for i in range(n):
        count[i] = 1
    for i in range(n - 1):
        count[n + i] = count[left[i]] + count[right[i]]
    ranges[2 * n - 2, 0], ranges[2 * n - 2, 1] = 0, n
    for i in range(n - 2, -1, -1):
        node = n + i
        middle = ranges[node, 0] + count[left[i]]
        ranges[left[i], 0], ranges[left[i], 1] = ranges[node, 0], middle
        ranges[right[i], 0], ranges[right[i], 1] = middle, ranges[node, 1]
    for i in range(n):
        leaves[ranges[i, 0]] = i


cdef int64_t[::1] _integers(ptrdiff_t n):
    import numpy
    return numpy.zeros(n, "int64")


def cophenetic(const int64_t[::1] left, const int64_t[::1] right, const double[::1] heights,
               const int64_t[::1] leaves, const int64_t[:, ::1] ranges, double[::1] out):
    """out: the condensed matrix of the heights at which observations first share a cluster. O(n^2)."""
    cdef ptrdiff_t n = left.shape[0] + 1, i, a, b, x, y, low, high
    for i in range(n - 1):
        for a in range(ranges[left[i], 0], ranges[left[i], 1]):
            x = leaves[a]
            for b in range(ranges[right[i], 0], ranges[right[i], 1]):
                y = leaves[b]
                low, high = min(x, y), max(x, y)
                out[low * (2 * n - low - 3) // 2 - 1 + high] = heights[i]
        if i % 1024 == 0:
            PyErr_CheckSignals()


def flat_clusters(const int64_t[::1] left, const int64_t[::1] right, const unsigned char[::1] joined, int32_t[::1] labels):
    """labels: 1, 2, ... of the largest subtrees whose merges are all `joined` (a parent only if its children are).

    Numbered as SciPy does: depth first, a merge's subtrees (left, right) before its single observations (left, right).
    """
    cdef ptrdiff_t n = left.shape[0] + 1, node, top = 0, child, side
    cdef int32_t cluster = 0
    cdef int64_t[::1] stack = _integers(2 * n)
    cdef int64_t[::1] leader = _integers(2 * n - 1)  # 0: not in a cluster yet
    stack[0] = 2 * n - 2
    top = 1
    while top > 0:
        top -= 1
        node = stack[top]
        if node < n:
            if leader[node] == 0:
                cluster += 1
                leader[node] = cluster
            labels[node] = <int32_t>leader[node]
            continue
        if leader[node] == 0 and joined[node - n]:
            cluster += 1
            leader[node] = cluster
        # Pushed in the reverse of the order in which they are to come.
        for side in range(4):
            child = right[node - n] if side % 2 == 0 else left[node - n]
            if (side < 2) == (child < n):
                leader[child] = leader[node]
                stack[top] = child
                top += 1


def first_merges(const int64_t[::1] left, const int64_t[::1] right, const unsigned char[::1] joined,
                 int64_t[::1] labels):
    """labels: clusters after the merges that are `joined`, numbered from 0 by their first observation."""
    cdef ptrdiff_t n = left.shape[0] + 1, i, node
    cdef int64_t[::1] top = _integers(2 * n - 1)
    cdef int64_t[::1] number = _integers(2 * n - 1)
    cdef int64_t clusters = 0
    for i in range(2 * n - 1):
        top[i] = i
    for i in range(n - 2, -1, -1):
        if joined[i]:
            top[left[i]] = top[n + i]
            top[right[i]] = top[n + i]
    for i in range(n):
        node = top[i]
        if number[node] == 0:
            clusters += 1
            number[node] = clusters
        labels[i] = number[node] - 1


def inconsistency(const int64_t[::1] left, const int64_t[::1] right, const double[::1] heights, ptrdiff_t depth,
                  double[:, ::1] out):
    """out (n - 1, 4): mean, standard deviation and number of the heights down to `depth` levels below each merge, and
    how many standard deviations its own is above the mean. O(n 2^depth) at most."""
    cdef ptrdiff_t n = left.shape[0] + 1, i, top, node, level, count, side, child
    cdef int64_t[::1] stack = _integers(2 * n)
    cdef int64_t[::1] levels = _integers(2 * n)
    cdef double total, squares, variance
    for i in range(n - 1):
        stack[0], levels[0], top = i, 1, 1
        total, squares, count = 0, 0, 0
        while top > 0:
            top -= 1
            node, level = stack[top], levels[top]
            total += heights[node]
            squares += heights[node] * heights[node]
            count += 1
            if level < depth:
                for side in range(2):
                    child = left[node] if side == 0 else right[node]
                    if child >= n:
                        stack[top], levels[top] = child - n, level + 1
                        top += 1
        out[i, 0], out[i, 2] = total / count, count
        variance = (squares - total * total / count) / (count - 1) if count > 1 else 0
        out[i, 1] = sqrt(variance) if variance > 0 else 0
        out[i, 3] = (heights[i] - out[i, 0]) / out[i, 1] if out[i, 1] > 0 else 0


cdef struct span:
    ptrdiff_t start
    ptrdiff_t middle
    ptrdiff_t stop


cdef inline void _other_side(span s, ptrdiff_t at, ptrdiff_t* start, ptrdiff_t* stop) noexcept nogil:
    """Where the other end of a subtree may be when one end is `at`; a single observation is both."""
    if s.stop - s.start == 1:
        start[0], stop[0] = s.start, s.stop
    elif at < s.middle:
        start[0], stop[0] = s.middle, s.stop
    else:
        start[0], stop[0] = s.start, s.middle


cdef void _best_ends(const double* d, double* best, ptrdiff_t n, span a, span b, ptrdiff_t u, double* through) noexcept nogil:
    """best[u, w] for all w in b: the shortest path through all of a, from u, and all of b, to w.

    through[k - b.start] is the shortest such path that ends with b's first observation k.
    """
    cdef ptrdiff_t start, stop
    _other_side(a, u, &start, &stop)
    minplus_row(best + u * n + start, d + start * n + b.start, n, stop - start, b.stop - b.start, through)
    if b.stop - b.start == 1:
        best[u * n + b.start] = through[0]
    else:
        minplus_row(through, best + b.start * n + b.middle, n, b.middle - b.start, b.stop - b.middle,
                    best + u * n + b.middle)
        minplus_row(through + b.middle - b.start, best + b.middle * n + b.start, n, b.stop - b.middle,
                    b.middle - b.start, best + u * n + b.start)


def optimal_order(const int64_t[::1] left, const int64_t[::1] right, const int64_t[:, ::1] ranges,
                  const double[:, ::1] distances, double[:, ::1] best, double[:, ::1] through,
                  unsigned char[::1] swapped, *, int n_threads):
    """swapped: the merges whose two subtrees must change places for the shortest walk along all leaves.

    distances: n x n, between leaves in the order of `ranges`                               IN
    best: n x n: the shortest path from u to w along all leaves below their first common node   OUT
    through: n x n                                                                          SCRATCH
    Bar-Joseph, Gifford and Jaakkola's recurrence, minimised over the two inner ends one after the other: O(n^3) time.
    """
    cdef ptrdiff_t n = left.shape[0] + 1, i, u, w, at_u = 0, at_w = 0, top, node, k, m, start, stop
    cdef span[2] s
    cdef int64_t[::1] stack = _integers(3 * n)
    cdef double shortest, length
    cdef bint mirrored
    for u in range(n):
        best[u, u] = 0
    for i in range(n - 1):
        s[0], s[1] = _span(left, right, ranges, left[i]), _span(left, right, ranges, right[i])
        with nogil:
            for u in prange(s[0].start, s[0].stop, num_threads=n_threads if s[0].stop - s[0].start > 16 else 1,
                            schedule="dynamic"):
                _best_ends(&distances[0, 0], &best[0, 0], n, s[0], s[1], u, &through[u, 0])
            for u in range(s[0].start, s[0].stop):
                for w in range(s[1].start, s[1].stop):
                    best[w, u] = best[u, w]
        PyErr_CheckSignals()
    s[0], s[1] = _span(left, right, ranges, left[n - 2]), _span(left, right, ranges, right[n - 2])
    shortest = INFINITY
    for u in range(s[0].start, s[0].stop):
        for w in range(s[1].start, s[1].stop):
            if best[u, w] < shortest:
                shortest, at_u, at_w = best[u, w], u, w
    stack[0], stack[1], stack[2], top = n - 2, at_u, at_w, 1
    while top > 0:
        top -= 1
        i, u, w = stack[3 * top], stack[3 * top + 1], stack[3 * top + 2]
        s[0], s[1] = _span(left, right, ranges, left[i]), _span(left, right, ranges, right[i])
        mirrored = u >= s[0].stop
        swapped[i] = mirrored
        if mirrored:
            u, w = w, u
        _other_side(s[0], u, &start, &stop)
        minplus_row(&best[u, start], &distances[start, s[1].start], n, stop - start, s[1].stop - s[1].start,
                    &through[0, 0])
        _other_side(s[1], w, &start, &stop)
        shortest, at_w = INFINITY, start
        for k in range(start, stop):
            length = through[0, k - s[1].start] + best[k, w]
            if length < shortest:
                shortest, at_w = length, k
        _other_side(s[0], u, &start, &stop)
        shortest, at_u = INFINITY, start
        for m in range(start, stop):
            length = best[u, m] + distances[m, at_w]
            if length < shortest:
                shortest, at_u = length, m
        # From left to right: u ... at_u, at_w ... w; or the mirror image.
        node = left[i]
        if node >= n:
            stack[3 * top] = node - n
            stack[3 * top + 1], stack[3 * top + 2] = (at_u, u) if mirrored else (u, at_u)
            top += 1
        node = right[i]
        if node >= n:
            stack[3 * top] = node - n
            stack[3 * top + 1], stack[3 * top + 2] = (w, at_w) if mirrored else (at_w, w)
            top += 1


cdef span _span(const int64_t[::1] left, const int64_t[::1] right, const int64_t[:, ::1] ranges, ptrdiff_t node):
    cdef span s
    cdef ptrdiff_t n = left.shape[0] + 1
    s.start, s.stop = ranges[node, 0], ranges[node, 1]
    s.middle = ranges[left[node - n], 1] if node >= n else s.stop
    return s
