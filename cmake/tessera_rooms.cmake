# tessera_room(NAME [ASIO] [COMPUTES] [HEAVY_TESTS] ROOMS <rooms below> LIBS <third-party targets, private> TEST_ROOMS <rooms its tests need> TEST_LIBS <...>
#              THREAD_TESTS <regex>)
#
# COMPUTES: the room is optimised in debug builds too (-O1), because its tests would take longer otherwise. HEAVY_TESTS:
# so are its tests, which compute a lot themselves (models, brute force).
#
# THREAD_TESTS: of a big room, the files of tests that start threads; under ThreadSanitizer the others are left out, which
# would only cost time there.
#
# A room is src/NAME: every .cc in it (and below it) is the library tessera_NAME, every *_test.cc the executable
# NAME_test (registered with ctest), every *_fuzz.cc a fuzz target NAME_<file> (preset fuzz). New files need no edit here.
#
# Two precompiled headers serve all rooms, so a room pays for its own headers only: the standard library, and (rooms
# marked ASIO) the standard library with Asio's coroutines. In debug builds both exist optimised as well, for one serves
# only files compiled as it was. Two more serve the tests: these, and GoogleTest.

file(WRITE ${CMAKE_BINARY_DIR}/pch.cc "// carries a precompiled header\n")
file(WRITE ${CMAKE_BINARY_DIR}/pch_asio.cc "// carries a precompiled header\n")
set(TESSERA_PCH_STD <algorithm> <array> <atomic> <chrono> <cstdint> <expected> <functional> <map> <memory> <mutex> <optional> <set>
  <span> <string> <string_view> <thread> <unordered_map> <utility> <variant> <vector> <fmt/core.h>)
set(TESSERA_PCH_ASIO <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp> <boost/asio/io_context.hpp>
  <boost/asio/steady_timer.hpp> <boost/asio/use_awaitable.hpp> <boost/asio/post.hpp> <boost/asio/this_coro.hpp>)

# tessera_make_pch(suffix options headers...): tessera_pch<suffix> and tessera_pch_asio<suffix>
function(tessera_make_pch suffix options)
  foreach(kind pch pch_asio)
    add_library(tessera_${kind}${suffix} OBJECT ${CMAKE_BINARY_DIR}/${kind}.cc)
    target_link_libraries(tessera_${kind}${suffix} PRIVATE fmt::fmt tessera_boost)
    target_compile_options(tessera_${kind}${suffix} PRIVATE ${options})
  endforeach()
  target_precompile_headers(tessera_pch${suffix} PRIVATE ${TESSERA_PCH_STD} ${ARGN})
  target_precompile_headers(tessera_pch_asio${suffix} PRIVATE ${TESSERA_PCH_STD} ${TESSERA_PCH_ASIO} ${ARGN})
endfunction()

set(TESSERA_OPTIMISED $<$<CONFIG:Debug>:-O1>)
tessera_make_pch("" "")
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  tessera_make_pch(_optimised "${TESSERA_OPTIMISED}")
endif()
if(TESSERA_TESTS)
  tessera_make_pch(_test "" <gmock/gmock.h> <gtest/gtest.h>)
  target_link_libraries(tessera_pch_test PRIVATE GTest::gtest GTest::gmock)
  target_link_libraries(tessera_pch_asio_test PRIVATE GTest::gtest GTest::gmock)
endif()

# tessera_use_pch(target asio? [kind]); kind: optimised, test
function(tessera_use_pch target asio)
  set(suffix "")
  if("${ARGN}" STREQUAL "test")
    target_link_libraries(${target} PRIVATE tessera_boost)
    set(suffix _test)
  elseif("${ARGN}" STREQUAL "optimised" AND CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(${target} PRIVATE ${TESSERA_OPTIMISED})
    set(suffix _optimised)
  endif()
  target_link_libraries(${target} PRIVATE fmt::fmt)
  if(asio)
    target_link_libraries(${target} PRIVATE tessera_boost)
    target_precompile_headers(${target} REUSE_FROM tessera_pch_asio${suffix})
  else()
    target_precompile_headers(${target} REUSE_FROM tessera_pch${suffix})
  endif()
endfunction()

function(tessera_room name)
  cmake_parse_arguments(ROOM "ASIO;COMPUTES;HEAVY_TESTS" "" "ROOMS;LIBS;TEST_LIBS;TEST_ROOMS;THREAD_TESTS" ${ARGN})
  file(GLOB_RECURSE all CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz)\\.cc$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(ROOM_THREAD_TESTS AND TESSERA_SANITIZE STREQUAL "thread")
    list(FILTER tests INCLUDE REGEX "${ROOM_THREAD_TESTS}")
  endif()
  set(fuzzers ${all})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")

  if(NOT sources)
    set(sources ${CMAKE_BINARY_DIR}/pch.cc)  # a room of headers only
  endif()

  list(TRANSFORM ROOM_ROOMS PREPEND tessera_)
  add_library(tessera_${name} STATIC ${sources})
  target_include_directories(tessera_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(tessera_${name} PUBLIC ${ROOM_ROOMS} fmt::fmt PRIVATE ${ROOM_LIBS})
  if(ROOM_COMPUTES OR TESSERA_FUZZ)
    set(optimised optimised)
  endif()
  tessera_use_pch(tessera_${name} ${ROOM_ASIO} ${optimised})

  if(TESSERA_TESTS AND tests)
    list(TRANSFORM ROOM_TEST_ROOMS PREPEND tessera_)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE tessera_${name} ${ROOM_TEST_ROOMS} ${ROOM_LIBS} ${ROOM_TEST_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
    if(ROOM_HEAVY_TESTS)
      tessera_use_pch(${name}_test ${ROOM_ASIO} optimised)
    else()
      tessera_use_pch(${name}_test ${ROOM_ASIO} test)
    endif()
    target_compile_definitions(${name}_test PRIVATE TESSERA_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    add_test(NAME ${name} COMMAND ${name}_test)
  endif()

  if(TESSERA_FUZZ)
    foreach(file ${fuzzers})
      get_filename_component(stem ${file} NAME_WE)
      add_executable(${name}_${stem} ${file})
      target_link_libraries(${name}_${stem} PRIVATE tessera_${name} ${ROOM_LIBS})
      target_link_options(${name}_${stem} PRIVATE -fsanitize=fuzzer)
      tessera_use_pch(${name}_${stem} ${ROOM_ASIO} optimised)
    endforeach()
  endif()
endfunction()
