#include <gtest/gtest.h>
#include <mpi.h>
#include <petscsys.h>

#include <cstdio>

/// Runs the tests on every rank; only rank 0 prints its progress, any rank prints a failure of its own. Fails if any
/// rank fails or if the filter selects no test, which would otherwise pass unseen.
int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  ::testing::InitGoogleTest(&argc, argv);
  char no_signals[] = "-no_signal_handler";
  char* petsc_arguments[] = {argv[0], no_signals, nullptr};
  char** arguments = petsc_arguments;
  int count = 2;
  if (PetscInitialize(&count, &arguments, nullptr, nullptr) != 0) MPI_Abort(MPI_COMM_WORLD, 1);

  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  struct FailuresOnly : ::testing::EmptyTestEventListener {
    explicit FailuresOnly(int of_rank) : rank_(of_rank) {}
    void OnTestPartResult(const ::testing::TestPartResult& result) override {
      if (!result.failed()) return;
      std::fprintf(stderr, "rank %d: %s:%d: %s\n", rank_, result.file_name() ? result.file_name() : "?",
                   result.line_number(), result.summary());
    }
    int rank_;
  };
  if (rank != 0) {
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailuresOnly(rank));
  }

  int failed = RUN_ALL_TESTS();
  if (!::testing::GTEST_FLAG(list_tests) && ::testing::UnitTest::GetInstance()->test_to_run_count() == 0) failed = 1;
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  PetscFinalize();
  MPI_Finalize();
  return failed;
}
