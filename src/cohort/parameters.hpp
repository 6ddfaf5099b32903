#pragma once
#include "base/deck.hpp"

namespace sanctuary {

/// What a cohort's deck may say beside a patient's.
const Catalogue& cohort_parameters();
/// These and every parameter of a patient: the catalogue of a cohort's deck.
const Catalogue& cohort_catalogue();

/// True for a deck that says more than a patient's.
[[nodiscard]] bool is_cohort_deck(const Deck& deck);

namespace cohort {
inline constexpr Parameter patients{.key = "cohort.patients",
                                    .kind = Kind::integer,
                                    .value = 24,
                                    .range = {1, 1e8},
                                    .meaning = "Virtual patients drawn, rejected ones included",
                                    .source = "choice"};
inline constexpr Parameter seed{.key = "cohort.seed",
                                .kind = Kind::integer,
                                .value = 1,
                                .range = {0, 9007199254740992.0},
                                .meaning = "Seed of everything drawn for the cohort",
                                .source = "choice"};
inline constexpr Parameter design{.key = "cohort.design",
                                  .kind = Kind::choice,
                                  .text = "sobol",
                                  .choices = "monte_carlo|latin_hypercube|sobol|saltelli",
                                  .meaning = "How patients are spread over what varies; saltelli: for Sobol indices",
                                  .source = "choice"};
inline constexpr Parameter geometries{
    .key = "cohort.geometries",
    .kind = Kind::integer,
    .value = 0,
    .range = {0, 1e8},
    .meaning = "Different vessel networks in the cohort, dealt out in turn; 0: each patient (row group) its own",
    .source = "choice"};
inline constexpr Parameter share_baseline{.key = "cohort.share_baseline",
                                          .kind = Kind::flag,
                                          .value = 1,
                                          .range = {0, 1},
                                          .meaning =
                                              "The arms of a patient branch from one saved baseline; off: each "
                                              "computes its own, to the same result",
                                          .source = "choice"};
inline constexpr Parameter group_width{
    .key = "cohort.group_width",
    .kind = Kind::integer,
    .value = 1,
    .range = {0, 1e6},
    .meaning = "Ranks that work on one patient; 0: by its size, a power of two of at most cells_per_rank each",
    .source = "choice"};
inline constexpr Parameter cells_per_rank{.key = "cohort.cells_per_rank",
                                          .kind = Kind::integer,
                                          .value = 262144,
                                          .range = {1, 1e9},
                                          .meaning = "Grid cells that one rank takes on where group_width = 0",
                                          .source = "choice: 64^3, at which exchange between ranks costs little"};
inline constexpr Parameter attempts{.key = "cohort.attempts",
                                    .kind = Kind::integer,
                                    .value = 3,
                                    .range = {1, 100},
                                    .meaning =
                                        "Crashes of a run with a task in flight after which the task counts as "
                                        "failed",
                                    .source = "choice"};
inline constexpr Parameter time_budget{.key = "cohort.time_budget",
                                       .unit = "h",
                                       .value = 0,
                                       .range = {0, 1e5},
                                       .meaning = "Wall time after which a task is a failed row; 0: none",
                                       .source = "choice"};
inline constexpr Parameter memory_budget{.key = "cohort.memory_budget",
                                         .unit = "GB",
                                         .value = 0,
                                         .range = {0, 1e6},
                                         .meaning =
                                             "Memory of all ranks of a group above which its task is a failed "
                                             "row; 0: none",
                                         .source = "choice"};
inline constexpr Parameter keep_runs{.key = "cohort.keep_runs",
                                     .kind = Kind::choice,
                                     .text = "none",
                                     .choices = "none|all",
                                     .meaning = "Whether each arm leaves the folder that `simulate` would, with fields",
                                     .source = "choice"};
inline constexpr Parameter weight_moments{.key = "cohort.weight_moments",
                                          .kind = Kind::integer,
                                          .value = 2,
                                          .range = {1, 6},
                                          .meaning = "Moments of the normal score that weights match in each [target]",
                                          .source = "choice: exact for normal laws of any mean and variance"};
inline constexpr Parameter sensitivity{.key = "cohort.sensitivity",
                                       .kind = Kind::texts,
                                       .text = "log_kill, sanctuary_share",
                                       .meaning =
                                           "Endpoints whose sensitivity to what varies is reported (rank "
                                           "correlations; Sobol indices of a saltelli design)",
                                       .source = "choice"};
}  // namespace cohort

namespace vary {
inline constexpr Parameter correlate{
    .key = "vary.correlate",
    .kind = Kind::texts,
    .meaning = "Correlations of normal scores (Gaussian copula): key, key, number; more triples may follow",
    .source = "choice"};
inline constexpr Parameter key{.key = "vary.*",
                               .kind = Kind::open,
                               .meaning =
                                   "Law of a parameter of the patient: lognormal(median = , gsd = ), normal(mean "
                                   "= , sd = ), uniform(,), loguniform(,), beta(a = , b = ), choice(,), and "
                                   "`in [,]` to cut it off",
                               .source = "choice"};
}  // namespace vary

namespace plausible {
inline constexpr Parameter key{.key = "plausible.*",
                               .kind = Kind::open,
                               .meaning =
                                   "Bounds of an endpoint before treatment, as [low, high]; a patient outside is "
                                   "rejected",
                               .source = "choice"};
}  // namespace plausible

namespace target {
inline constexpr Parameter key{.key = "target.*",
                               .kind = Kind::open,
                               .meaning =
                                   "Law that a varied parameter or an endpoint before treatment shall have in "
                                   "the weighted cohort, as in [vary]",
                               .source = "choice"};
}  // namespace target

namespace arm {
inline constexpr Parameter label{.key = "arm.*.label",
                                 .kind = Kind::text,
                                 .meaning = "Name of the arm in tables and reports; empty: that of its section",
                                 .source = "choice"};
inline constexpr Parameter deck{.key = "arm.*.deck",
                                .kind = Kind::path,
                                .meaning = "Deck laid over the cohort's for this arm, such as a drug's",
                                .source = "choice"};
inline constexpr Parameter key{.key = "arm.*.*",
                               .kind = Kind::open,
                               .meaning = "Any key of a patient with its value in this arm; sections may be new",
                               .source = "choice"};
}  // namespace arm

}  // namespace sanctuary
