"""The parts of k-means: what `fastcluster_ext.kmeans` calls, one algorithm a module.

kmeans.py                         arguments, the table of algorithms, the best of several runs
    |
lloyd.py                          an algorithm: run(problem, centers, settings) -> Run
    |
runs.py      seeding.py           what all runs have in common; where they begin
    |           |
problem.py   result.py            points and weights as kernels get them; what the caller gets
    |
search.py                         how the nearest center is searched for
"""
