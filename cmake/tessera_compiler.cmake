# Language, warnings and sanitizers, the same for every target.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
# Executables only, all position independent; one flag for all, so that one precompiled header serves all.
add_compile_options(-fPIE)
add_link_options(-pie)

option(TESSERA_TESTS "build the unit tests" ON)
option(TESSERA_BENCH "build the micro-benchmarks" OFF)
option(TESSERA_FUZZ "build the fuzz targets" OFF)
set(TESSERA_SANITIZE "" CACHE STRING "sanitizers, as for -fsanitize=")

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR
    "g++ ${CMAKE_CXX_COMPILER_VERSION} destroys an aggregate temporary inside a co_await expression twice, "
    "silently. Use clang++-19 (apt-get install clang-19; the CMake presets select it) or g++ 13 or later.")
endif()

if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_link_options(-fuse-ld=lld-19)
  add_compile_options("SHELL:-Xclang -fno-pch-timestamp")  # ccache finds the precompiled headers again
endif()

add_compile_options(-Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Werror=return-type -Werror=unused-result)
# Debug builds are not optimised but for the rooms that compute (tessera_rooms.cmake): sanitizers make an optimised file take
# two to three times as long to compile, and most tests wait rather than compute.
add_compile_options($<$<CONFIG:Debug>:-g1> $<$<CONFIG:Debug>:-O0> $<$<CONFIG:Release>:-O2>)
string(REPLACE "-g" "" CMAKE_CXX_FLAGS_DEBUG "${CMAKE_CXX_FLAGS_DEBUG}")
set(CMAKE_CXX_FLAGS_RELEASE "-DNDEBUG")
add_link_options($<$<CONFIG:Release>:-Wl,--gc-sections> $<$<CONFIG:Release>:-Wl,--as-needed>)
add_compile_options($<$<CONFIG:Release>:-ffunction-sections> $<$<CONFIG:Release>:-fdata-sections>)

# Every binary answers an overflowing stack or heap with an abort, not with a wrong answer.
add_compile_options($<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2> -fstack-protector-strong)

if(TESSERA_SANITIZE)
  add_compile_options(-fsanitize=${TESSERA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  string(REPLACE ",fuzzer-no-link" "" TESSERA_SANITIZE_LINK "${TESSERA_SANITIZE}")
  add_link_options(-fsanitize=${TESSERA_SANITIZE_LINK})
endif()
