# Fixtures of R's cluster::pam and cluster::clara. Run: Rscript tests/data/pam.R > tests/data/pam.json
suppressMessages(library(cluster))
show <- function(x) paste0("[", paste(format(x, digits = 15, trim = TRUE), collapse = ", "), "]")
text <- function(x) paste0("[", paste(encodeString(x, quote = '"'), collapse = ", "), "]")
rows <- function(x) paste0("[", paste(apply(x, 1, show), collapse = ", "), "]")
# What is printed, without the call, the list of components and the end of a summary: silhouettes of all points.
lines <- function(x) {
  found <- capture.output(print(x))
  found <- found[seq_len(which(found == "")[1] - 1)]
  text(trimws(gsub("[\t ]*\t *", " ", found[!startsWith(found, "Call:")]), "right"))
}
told <- function(fit) {
  found <- trimws(capture.output(print(summary(fit))), "right")
  start <- which(found == "Numerical information per cluster:")
  end <- which(found == "Silhouette plot information:")
  average <- which(found == "Average silhouette width per cluster:")
  text(c(found[start:(end - 1)], found[average:(average + 3)]))
}
case <- function(name, x, k, metric, start = NULL) {
  fit <- pam(x, k, metric = metric, medoids = start)
  info <- fit$clusinfo
  cat(sprintf(
    '"%s": {"X": %s, "names": %s, "k": %d, "metric": "%s", "start": %s, "medoids": %s, "objective": %s, "labels": %s, "size": %s, "max_diss": %s, "av_diss": %s, "diameter": %s, "separation": %s, "isolation": [%s], "silhouette": %s, "printed": %s, "summary": %s}',
    name, rows(x), text(colnames(x)), k, metric, if (is.null(start)) "null" else show(start - 1), show(fit$id.med - 1),
    show(fit$objective), show(fit$clustering - 1), show(info[, "size"]), show(info[, "max_diss"]),
    show(info[, "av_diss"]), show(info[, "diameter"]), show(info[, "separation"]),
    paste0('"', as.character(fit$isolation), '"', collapse = ", "),
    show(silhouette(fit$clustering, dist(x, method = metric))[, "sil_width"]), lines(fit), told(fit)
  ))
}
clara_case <- function(name, x, k, metric, samples, size) {
  fit <- clara(x, k, metric = metric, samples = samples, sampsize = size, pamLike = TRUE)
  info <- fit$clusinfo
  drawn <- sapply(1:20, function(seed) {
    set.seed(seed)
    clara(x, k, metric = metric, samples = samples, sampsize = size, pamLike = TRUE, rngR = TRUE)$objective
  })
  cat(sprintf(
    '"%s": {"X": %s, "names": %s, "k": %d, "metric": "%s", "samples": %d, "sample": %s, "medoids": %s, "objective": %s, "labels": %s, "size": %s, "max_diss": %s, "av_diss": %s, "printed": %s, "objectives": %s}',
    name, rows(x), text(colnames(x)), k, metric, samples, show(fit$sample - 1), show(fit$i.med - 1), show(fit$objective),
    show(fit$clustering - 1), show(info[, "size"]), show(info[, "max_diss"]), show(info[, "av_diss"]), lines(fit), show(drawn)
  ))
}
iris4 <- as.matrix(iris[, 1:4])
ruspini2 <- as.matrix(ruspini)
rownames(ruspini2) <- NULL
cat('{"pam": {\n')
case("eight_points", cbind(x = c(0, 1, 2, 1, 2, 5, 6, 7), y = c(2, 1, 0, 3, 3, 5, 6, 7)), 2, "manhattan"); cat(",\n")
case("iris_manhattan", iris4, 3, "manhattan"); cat(",\n")
case("iris_euclidean", iris4, 3, "euclidean"); cat(",\n")
case("iris_start", iris4, 3, "manhattan", c(1, 2, 3)); cat(",\n")
case("ruspini_manhattan", ruspini2, 4, "manhattan"); cat(",\n")
case("ruspini_five", ruspini2, 5, "euclidean"); cat('\n}, "clara": {\n')
clara_case("iris_samples", iris4, 3, "manhattan", 5, 60); cat(",\n")
clara_case("ruspini_whole", ruspini2, 4, "manhattan", 1, 75); cat(",\n")
clara_case("ruspini_samples", ruspini2, 4, "manhattan", 5, 48); cat(",\n")
clara_case("ruspini_euclidean", ruspini2, 5, "euclidean", 5, 50); cat("\n}}\n")
