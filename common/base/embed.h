/* EMBED_FILE(symbol, path): the bytes of a file of this repository inside the program, so that a binary needs no data
 * beside it.  Defines `const unsigned char symbol[]` and `symbol_end[]`; the path is relative to the repository root.
 * */
#ifndef BASE_EMBED_H
#define BASE_EMBED_H

#define EMBED_FILE(symbol, path) \
    __asm__(".section .rodata\n.balign 16\n.global " #symbol "\n" #symbol ":\n.incbin \"" path "\"\n" \
            ".global " #symbol "_end\n" #symbol "_end:\n.byte 0\n.previous\n"); \
    extern const unsigned char symbol[], symbol##_end[]

#endif
