#pragma once

#include <memory>
#include <string>

#include "rag/file_tree.h"

namespace tessera::rag {

/// Watches a directory tree with inotify (Linux) on a thread of its own. New folders are watched as they appear; a
/// queue overflow counts as a change. Errors: unavailable WATCH_FAILED.
base::Result<std::unique_ptr<TreeWatch>> watch_with_inotify(const std::string& root, const WalkBounds& bounds);

}  // namespace tessera::rag
