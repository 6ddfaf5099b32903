# Installs the build into a fresh prefix, moves it (the package must not remember where it was), builds projects that use
# the package (one is the example of solvers/README.md), and runs them, the installed program, a deck check and the report's help.
set(work "${BUILD}/install_test")
file(REMOVE_RECURSE "${work}")

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nfailed (${result}):\n${output}")
  endif()
endfunction()

run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${work}/first")
file(RENAME "${work}/first" "${work}/prefix")
run("${CMAKE_COMMAND}" -S "${SOURCE}/tests/install" -B "${work}/consumer" -G "${GENERATOR}" "-DCMAKE_C_COMPILER=${C}"
    "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_CXX_FLAGS=${FLAGS}" "-DCMAKE_PREFIX_PATH=${work}/prefix")
run("${CMAKE_COMMAND}" --build "${work}/consumer")
run("${work}/consumer/consumer")
run("${CMAKE_COMMAND}" -S "${SOURCE}/tests/install/example" -B "${work}/example" -G "${GENERATOR}" "-DCMAKE_C_COMPILER=${C}"
    "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_CXX_FLAGS=${FLAGS}" "-DCMAKE_PREFIX_PATH=${work}/prefix")
run("${CMAKE_COMMAND}" --build "${work}/example")
run("${work}/example/example")
run("${work}/prefix/bin/sanctuary" check "${work}/prefix/share/sanctuary/decks/patient/quickstart.ini")
run("${CMAKE_COMMAND}" -E env "PYTHONPATH=${work}/prefix/share/sanctuary/postprocess" PYTHONDONTWRITEBYTECODE=1
    /usr/bin/python3 -m sanctuary_post --help)
file(REMOVE_RECURSE "${work}")
