/* text: bytes of unknown encoding (mount points, labels, command lines) made fit to be shown. */
#ifndef GCDBOOT_TEXT_H
#define GCDBOOT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The length of the character at `s` (1 to 4 bytes) where it is whole, valid UTF-8; 0 where it is not. At the end of the string: 0.
 */
size_t text_char(const char *s);

/*
 * Whether the character of `len` bytes that text_char() found does nothing to a terminal: no control character (C0, DELETE, C1), no line
 * separator, nothing that turns the direction of writing.
 */
bool text_char_is_safe(const char *s, size_t len);

/*
 * A copy that is valid UTF-8, for JSON: each byte that is not becomes the four characters \xHH. A backslash stays as it is, so the result cannot
 * be turned back with certainty; a string that is valid UTF-8 comes out unchanged. The caller frees; NULL where memory is short.
 */
char *text_utf8(const char *bytes);

/*
 * A copy that is safe on a terminal and stays on one line: what is not safe, or not UTF-8, becomes \ooo (octal, as in /proc/mounts). A backslash
 * stays, but where three octal digits follow it becomes \134, so that \012 always means a newline. The caller frees; NULL where memory is short.
 */
char *text_safe(const char *bytes);

/* Whether s ends in tail. */
bool text_ends_with(const char *s, const char *tail);

/* Undoes, where it stands, the \ooo that the kernel writes for blanks and backslashes in /proc (and fstab(5) has). Only once: "\134040" is "\040". */
void text_decode_octal(char *s);

/* How many columns a text_safe() string takes, one for each character. */
size_t text_columns(const char *safe);

#endif
