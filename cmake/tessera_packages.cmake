# Debian packages the product links. A room names what it needs; nothing is found twice.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
set(Boost_NO_WARN_NEW_VERSIONS ON)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(OpenSSL REQUIRED)
find_package(CURL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(LibArchive REQUIRED)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
find_package(CLI11 REQUIRED)
find_library(TESSERA_MIMALLOC mimalloc REQUIRED)
if(TESSERA_TESTS OR TESSERA_FUZZ)
  find_package(GTest REQUIRED)
  pkg_check_modules(MD4C REQUIRED IMPORTED_TARGET md4c)  # the model of the Markdown reader in its tests
endif()

# Header-only part of Boost (Asio, Beast). Asio is compiled once, in the async room, not in every file.
add_library(tessera_boost INTERFACE)
target_link_libraries(tessera_boost INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(tessera_boost INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_COROUTINE BOOST_BEAST_SEPARATE_COMPILATION)
