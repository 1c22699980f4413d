# Fixtures of R's kmeans from given centers. Run: Rscript tests/data/kmeans.R > tests/data/kmeans.json
# The points are made by the "minimal standard" generator of Park and Miller, which doubles compute exactly; the tests
# make the same ones. Labels are a string with a digit for each point.
generator <- function(seed) {
  state <- seed
  function(count) vapply(seq_len(count), function(i) {
    state <<- (16807 * state) %% 2147483647
    state / 2147483647
  }, 0)
}
points <- function(n, p) {
  uniform <- generator(n + p)
  places <- matrix(uniform(7 * p), ncol = p, byrow = TRUE)
  t(vapply(seq_len(n), function(i) uniform(p) + uniform(p) + uniform(p) + 2 * places[i %% 7 + 1, ], numeric(p)))
}
show <- function(x) paste0("[", paste(vapply(x, format, "", digits = 12), collapse = ", "), "]")
rows <- function(x) paste0("[", paste(apply(x, 1, show), collapse = ", "), "]")
fit <- function(x, start, algorithm) {
  tryCatch(suppressWarnings(kmeans(x, start, iter.max = 1000, algorithm = algorithm)), error = function(e) NULL)
}
brief <- function(f) {
  if (is.null(f) || (!is.null(f$ifault) && f$ifault != 0)) return("null")
  sprintf('{"withinss": %s, "sizes": %s, "iterations": %d}', format(f$tot.withinss, digits = 15), show(f$size), f$iter)
}
full <- function(f) {
  if (is.null(f) || (!is.null(f$ifault) && f$ifault != 0)) return("null")
  sprintf('{"withinss": %s, "sizes": %s, "iterations": %d, "labels": "%s", "centers": %s}',
          format(f$tot.withinss, digits = 15), show(f$size), f$iter, paste(f$cluster - 1, collapse = ""),
          rows(signif(unname(f$centers), 7)))
}
case <- function(name, x, start) {
  sprintf('"%s": {"hartigan-wong": %s,\n "macqueen": %s,\n "lloyd": %s}', name, full(fit(x, start, "Hartigan-Wong")),
          brief(fit(x, start, "MacQueen")), brief(fit(x, start, "Lloyd")))
}
cases <- character()
for (n in c(20, 50, 100, 500, 2000)) for (p in c(2, 10, 20)) {
  x <- points(n, p)
  for (k in c(2, 5, 10)) cases <- c(cases, case(sprintf("%d %d %d", n, p, k), x, x[seq_len(k), ]))
}
iris4 <- unname(as.matrix(iris[, 1:4]))
cases <- c(cases, case("iris", iris4, rbind(c(6, 4, 5, 3), c(5, 3, 1, 0), c(6, 2, 4, 2))))
worked <- matrix(c(2, 10, 2, 5, 8, 4, 5, 8, 7, 5, 6, 4, 1, 2), ncol = 2, byrow = TRUE)
cases <- c(cases, case("worked example", worked, worked[c(1, 4, 7), ]))
# Where R gives up: "Quick-TRANSfer stage steps exceeded maximum".
line <- matrix(1:2000, ncol = 1)
given_up <- suppressWarnings(kmeans(line, line[2000 - 10 * 0:19, , drop = FALSE], iter.max = 1000))
cases <- c(cases, sprintf('"line": {"ifault": %d, "withinss": %s}', given_up$ifault,
                          format(given_up$tot.withinss, digits = 15)))
cat("{\n", paste(cases, collapse = ",\n"), "\n}\n", sep = "")
