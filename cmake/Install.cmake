# `cmake --install`: the program with its decks and report, and the libraries `base` and `solvers` as a CMake package.
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Sanctuary")
set(include_dir "${CMAKE_INSTALL_INCLUDEDIR}/sanctuary")
set(share_dir "${CMAKE_INSTALL_DATADIR}/sanctuary")

set_target_properties(base PROPERTIES OUTPUT_NAME sanctuary_base)
set_target_properties(solvers PROPERTIES OUTPUT_NAME sanctuary_solvers)
set_target_properties(sanctuary_flags PROPERTIES EXPORT_NAME flags)
foreach(library base solvers)
  target_include_directories(${library} PUBLIC "$<INSTALL_INTERFACE:${include_dir}>")
  target_compile_features(${library} PUBLIC cxx_std_20)
endforeach()
# PETSc and its companions may live outside the system folders.
set_target_properties(sanctuary PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)

install(TARGETS sanctuary RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(TARGETS base solvers sanctuary_flags EXPORT SanctuaryTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${CMAKE_SOURCE_DIR}/src/base" "${CMAKE_SOURCE_DIR}/solvers" DESTINATION "${include_dir}"
        FILES_MATCHING PATTERN "*.hpp")
install(FILES "${SANCTUARY_GENERATED}/base/build_info.hpp" DESTINATION "${include_dir}/base")
install(DIRECTORY "${CMAKE_SOURCE_DIR}/decks" DESTINATION "${share_dir}")
install(DIRECTORY "${CMAKE_SOURCE_DIR}/postprocess" DESTINATION "${share_dir}"
        PATTERN "__pycache__" EXCLUDE PATTERN ".pytest_cache" EXCLUDE PATTERN "*.egg-info" EXCLUDE)
install(FILES "${CMAKE_SOURCE_DIR}/README.md" "${CMAKE_SOURCE_DIR}/INSTALL.md" "${CMAKE_SOURCE_DIR}/CHANGELOG.md"
              "${CMAKE_SOURCE_DIR}/CITATION.cff" "${CMAKE_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

install(FILES "${CMAKE_SOURCE_DIR}/solvers/README.md" DESTINATION "${CMAKE_INSTALL_DOCDIR}/solvers")

install(EXPORT SanctuaryTargets NAMESPACE Sanctuary:: DESTINATION "${package_dir}")
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/SanctuaryConfig.cmake.in"
                              "${CMAKE_BINARY_DIR}/SanctuaryConfig.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/SanctuaryConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/SanctuaryConfig.cmake" "${CMAKE_BINARY_DIR}/SanctuaryConfigVersion.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/FindSanctuary_dependencies.cmake" DESTINATION "${package_dir}")

if(SANCTUARY_TESTS)
  add_test(NAME install.consumer
           COMMAND "${CMAKE_COMMAND}" "-DBUILD=${CMAKE_BINARY_DIR}" "-DSOURCE=${CMAKE_SOURCE_DIR}"
                   "-DGENERATOR=${CMAKE_GENERATOR}" "-DCXX=${CMAKE_CXX_COMPILER}" "-DC=${CMAKE_C_COMPILER}"
                   "-DFLAGS=${CMAKE_CXX_FLAGS}" -P "${CMAKE_SOURCE_DIR}/tests/install/run.cmake")
  set_tests_properties(install.consumer PROPERTIES LABELS long TIMEOUT 600 RESOURCE_LOCK install)
endif()
