# Records the commit at build time: every build runs git_commit.cmake, which touches its header only when the commit
# changed, and only build_info.cpp includes that header.
set(SANCTUARY_GENERATED "${CMAKE_BINARY_DIR}/generated")
configure_file(src/base/build_info.hpp.in "${SANCTUARY_GENERATED}/base/build_info.hpp" @ONLY)
find_package(Git QUIET)
add_custom_target(
  git_commit
  COMMAND "${CMAKE_COMMAND}" "-DGIT=${GIT_EXECUTABLE}" "-DSOURCE=${CMAKE_SOURCE_DIR}"
          "-DHEADER=${SANCTUARY_GENERATED}/base/git_commit.hpp" -P "${CMAKE_CURRENT_LIST_DIR}/git_commit.cmake"
  BYPRODUCTS "${SANCTUARY_GENERATED}/base/git_commit.hpp"
  COMMENT "")
