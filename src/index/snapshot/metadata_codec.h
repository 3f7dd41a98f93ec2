#pragma once

#include "core/metadata.h"
#include "index/snapshot/snapshot_file.h"

namespace tessera::index {

void encode_metadata(const core::Metadata& metadata, SnapshotWriter& writer);
/// False when the bytes are no metadata.
bool decode_metadata(SnapshotReader& reader, core::Metadata& metadata);

}  // namespace tessera::index
