/* windows_code: the error codes of WSL and Windows, each with its sentence. Pure. */
#ifndef GCDBOOT_WINDOWS_CODE_H
#define GCDBOOT_WINDOWS_CODE_H

#include <stdint.h>

enum windows_verdict {
	WINDOWS_NEVER,   /* it stays so until a person does something */
	WINDOWS_LATER,   /* it may pass by itself */
	WINDOWS_ALREADY, /* what was asked for is so already */
};

struct windows_code {
	const char *name; /* "WSL_E_DISK_ALREADY_ATTACHED" */
	uint32_t hex;     /* 0: not known */
	enum windows_verdict verdict;
	const char *sentence; /* what it means, and what to do */
};

#define WINDOWS_CODE_MAX 80

/*
 * Looks for WSL_E_..., ERROR_... and 0x........ in what a program has printed: all that is not translated into the person's language. Returns the first
 * that is in the table, or NULL. `shown` gets the code as it was printed; of several unknown ones the last; "" where there is none.
 */
const struct windows_code *windows_code_find(const char *text, char shown[WINDOWS_CODE_MAX]);

#endif
