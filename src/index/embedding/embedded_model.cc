#include "index/embedding/embedded_model.h"

#ifndef TESSERA_STATIC_MODEL_FILE
#error "src/index/CMakeLists.txt defines TESSERA_STATIC_MODEL_FILE for this file"
#endif

asm(".section .rodata.tessera_static_model,\"a\",@progbits\n"
    ".balign 64\n"
    ".globl tessera_static_model_begin\n"
    "tessera_static_model_begin:\n"
    ".incbin \"" TESSERA_STATIC_MODEL_FILE
    "\"\n"
    ".globl tessera_static_model_end\n"
    "tessera_static_model_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" const char tessera_static_model_begin[] __attribute__((visibility("hidden")));
extern "C" const char tessera_static_model_end[] __attribute__((visibility("hidden")));

namespace tessera::index {

std::string_view embedded_static_model() {
  return {tessera_static_model_begin, static_cast<size_t>(tessera_static_model_end - tessera_static_model_begin)};
}

}  // namespace tessera::index
