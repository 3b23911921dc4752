// The one main() of all Catch2 programs: compiling it takes longer than most tests.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
