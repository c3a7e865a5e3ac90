/* windows_text: what a Windows program has printed, as text. Pure. */
#ifndef GCDBOOT_WINDOWS_TEXT_H
#define GCDBOOT_WINDOWS_TEXT_H

#include <stddef.h>

/*
 * The bytes as text: UTF-16LE where a byte order mark or NULs say so (wsl.exe prints it unless WSL_UTF8 reaches it), else as they are. Lines end in "\n"
 * alone ("\r\r\n" is usual), no blank line is left, nor a NUL. What is no character becomes '?'. The caller frees; NULL where memory is short.
 */
char *windows_text(const void *bytes, size_t size);

/* The text on one line, at most `max` bytes of it, for a message: safe on a terminal. The caller frees; NULL where memory is short. */
char *windows_text_line(const char *text, size_t max);

#endif
