# Fixtures of R's cluster::pam and cluster::clara. Run: Rscript tests/data/pam.R > tests/data/pam.json
suppressMessages(library(cluster))
show <- function(x) paste0("[", paste(format(x, digits = 15, trim = TRUE), collapse = ", "), "]")
rows <- function(x) paste0("[", paste(apply(x, 1, show), collapse = ", "), "]")
case <- function(name, x, k, metric, start = NULL) {
  fit <- pam(x, k, metric = metric, medoids = start)
  info <- fit$clusinfo
  cat(sprintf(
    '"%s": {"X": %s, "k": %d, "metric": "%s", "start": %s, "medoids": %s, "objective": %s, "labels": %s, "size": %s, "max_diss": %s, "av_diss": %s, "diameter": %s, "separation": %s, "isolation": [%s], "silhouette": %s}',
    name, rows(x), k, metric, if (is.null(start)) "null" else show(start - 1), show(fit$id.med - 1),
    show(fit$objective), show(fit$clustering - 1), show(info[, "size"]), show(info[, "max_diss"]),
    show(info[, "av_diss"]), show(info[, "diameter"]), show(info[, "separation"]),
    paste0('"', as.character(fit$isolation), '"', collapse = ", "),
    show(silhouette(fit$clustering, dist(x, method = metric))[, "sil_width"])
  ))
}
cat("{\n")
iris4 <- unname(as.matrix(iris[, 1:4]))
case("iris_manhattan", iris4, 3, "manhattan"); cat(",\n")
case("iris_euclidean", iris4, 3, "euclidean"); cat(",\n")
case("iris_start", iris4, 3, "manhattan", c(1, 2, 3)); cat(",\n")
ruspini2 <- unname(as.matrix(ruspini))
case("ruspini_manhattan", ruspini2, 4, "manhattan"); cat(",\n")
case("ruspini_five", ruspini2, 5, "euclidean"); cat("\n}\n")
