# Fixtures of R's hclust with members. Run: Rscript tests/data/hclust_members.R > tests/data/hclust_members.json
#
# A cluster of w equal points is a point of weight w, and ward.D2 of the repeated points joins the distinct ones at the
# heights that weighted Ward clustering has. hclust(members =) itself expects the dissimilarities of such clusters to
# begin with, which for Ward's are sqrt(2 w w' / (w + w')) times the distances of the points.
show <- function(x) paste0("[", paste(format(x, digits = 17, trim = TRUE), collapse = ", "), "]")
rows <- function(x) paste0("[", paste(apply(x, 1, show), collapse = ", "), "]")
case <- function(x, members) {
  scaled <- as.matrix(dist(x)) * sqrt(2 * outer(members, members) / outer(members, members, "+"))
  fit <- hclust(as.dist(scaled), "ward.D2", members = members)
  cat(sprintf('{"points": %s, "members": %s, "heights": %s}', rows(x), show(members), show(fit$height)))
}
set.seed(1)
cat("[\n")
case(unname(as.matrix(unique(iris[, 1:4]))), as.numeric(sample(1:50, nrow(unique(iris[, 1:4])), TRUE))); cat(",\n")
case(matrix(rnorm(240), ncol = 3), round(exp(runif(80, 0, 8)))); cat(",\n")
case(matrix(runif(120), ncol = 2), runif(60, 0.1, 10)); cat("\n]\n")
