// Moved: tests of every folder use it.
#pragma once

#include "tests/support/TempFolder.h"
