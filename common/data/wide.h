/* WIDE before a function: compile it for AVX2 too and choose when the program is loaded.  Elsewhere (other processors,
 * clang, sanitizers) it means nothing and the plain form is used. */
#ifndef DATA_WIDE_H
#define DATA_WIDE_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

#endif
