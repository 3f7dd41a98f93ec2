#include "text/bpe_embedded.h"

#if !defined(TESSERA_CL100K_FILE) || !defined(TESSERA_O200K_FILE)
#error "src/text/CMakeLists.txt defines TESSERA_CL100K_FILE and TESSERA_O200K_FILE for this file"
#endif

asm(".section .rodata.tessera_bpe,\"a\",@progbits\n"
    ".balign 64\n"
    ".globl tessera_cl100k_begin\n"
    "tessera_cl100k_begin:\n"
    ".incbin \"" TESSERA_CL100K_FILE
    "\"\n"
    ".globl tessera_cl100k_end\n"
    "tessera_cl100k_end:\n"
    ".balign 64\n"
    ".globl tessera_o200k_begin\n"
    "tessera_o200k_begin:\n"
    ".incbin \"" TESSERA_O200K_FILE
    "\"\n"
    ".globl tessera_o200k_end\n"
    "tessera_o200k_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" const char tessera_cl100k_begin[] __attribute__((visibility("hidden")));
extern "C" const char tessera_cl100k_end[] __attribute__((visibility("hidden")));
extern "C" const char tessera_o200k_begin[] __attribute__((visibility("hidden")));
extern "C" const char tessera_o200k_end[] __attribute__((visibility("hidden")));

namespace tessera::text {

std::string_view embedded_cl100k() {
  return {tessera_cl100k_begin, static_cast<size_t>(tessera_cl100k_end - tessera_cl100k_begin)};
}

std::string_view embedded_o200k() {
  return {tessera_o200k_begin, static_cast<size_t>(tessera_o200k_end - tessera_o200k_begin)};
}

}  // namespace tessera::text
