"""The parts of k-medoids: what `fastcluster_ext.kmedoids` calls.

kmedoids.py              arguments, the best of several runs, the result
    |
methods.py               which swaps are made, in which order, until when; the table of methods
    |
starts.py                where they begin
    |
runs.py                  how a run is watched, and eager swaps, which most methods and one start are made of
    |
problem.py               points or a matrix, weights, and the kernel's state for them
"""
