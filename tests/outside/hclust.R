# Writes tests/data/nci60_hclust.json: R's hclust on NCI60 with three metrics and every method.
#
#     python -c "import numpy as np; np.savetxt('nci60.csv', np.load('tests/data/nci60.npz')['expression'], delimiter=',')"
#     Rscript tests/outside/hclust.R nci60.csv > tests/data/nci60_hclust.json
#
# centroid and median take and give squared distances in R; heights are written as square roots.
arguments <- commandArgs(trailingOnly = TRUE)
x <- as.matrix(read.csv(arguments[1], header = FALSE))
metrics <- list(
  euclidean = dist(x),
  cityblock = dist(x, method = "manhattan"),
  correlation = as.dist(1 - cor(t(x)))
)
methods <- c(single = "single", complete = "complete", average = "average", weighted = "mcquitty",
             ward = "ward.D2", centroid = "centroid", median = "median")
numbers <- function(values) paste0("[", paste(formatC(values, digits = 15, format = "g"), collapse = ", "), "]")
parts <- c()
for (metric in names(metrics)) {
  for (method in names(methods)) {
    squared <- method %in% c("centroid", "median")
    d <- metrics[[metric]]
    tree <- hclust(if (squared) d^2 else d, method = methods[[method]])
    heights <- if (squared) sqrt(tree$height) else tree$height
    labels <- if (squared) integer(0) else cutree(tree, k = 8)
    parts <- c(parts, sprintf('"%s %s": {"heights": %s, "labels": %s}', metric, method, numbers(heights),
                              numbers(labels)))
  }
}
cat("{", paste(parts, collapse = ",\n "), "}\n", sep = "")
