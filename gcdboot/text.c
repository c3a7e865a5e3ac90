/* text: bytes of unknown encoding (mount points, labels, command lines) made fit to be shown. */
#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The length that a first byte announces, with the bits of the code point that it holds; 0 for a byte that begins no character. */
static size_t text_lead(unsigned char lead, uint32_t *bits)
{
	if (lead < 0x80) {
		*bits = lead;
		return 1;
	}
	if (lead >= 0xc2 && lead <= 0xdf) {
		*bits = lead & 0x1f;
		return 2;
	}
	if (lead >= 0xe0 && lead <= 0xef) {
		*bits = lead & 0x0f;
		return 3;
	}
	if (lead >= 0xf0 && lead <= 0xf4) {
		*bits = lead & 0x07;
		return 4;
	}
	return 0;
}

static size_t text_decode(const char *s, uint32_t *point)
{
	size_t len = *s ? text_lead((unsigned char)*s, point) : 0;

	for (size_t i = 1; i < len; i++) {
		unsigned char next = (unsigned char)s[i];

		if ((next & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (next & 0x3f);
	}
	/* Longer than needed, a surrogate, or beyond Unicode: not UTF-8, though the bits would fit. */
	if ((len == 3 && *point < 0x800) || (len == 4 && (*point < 0x10000 || *point > 0x10ffff)) || (*point >= 0xd800 && *point <= 0xdfff && len == 3))
		return 0;
	return len;
}

size_t text_char(const char *s)
{
	uint32_t point = 0;

	return text_decode(s, &point);
}

bool text_char_is_safe(const char *s, size_t len)
{
	uint32_t point = 0;

	if (len == 0 || text_decode(s, &point) != len)
		return false;
	if (point < 0x20 || (point >= 0x7f && point < 0xa0))
		return false;
	return !(point == 0x61c || point == 0x200e || point == 0x200f || (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069));
}

char *text_utf8(const char *bytes)
{
	char *text = malloc(strlen(bytes) * 4 + 1), *end = text;

	if (!text)
		return NULL;
	while (*bytes) {
		size_t len = text_char(bytes);

		if (len == 0) {
			end += sprintf(end, "\\x%02x", (unsigned char)*bytes++);
		} else {
			end = mempcpy(end, bytes, len);
			bytes += len;
		}
	}
	*end = '\0';
	return text;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

char *text_safe(const char *bytes)
{
	char *text = malloc(strlen(bytes) * 4 + 1), *end = text;

	if (!text)
		return NULL;
	while (*bytes) {
		size_t len = text_char(bytes);
		bool like_escape = *bytes == '\\' && is_octal(bytes[1]) && is_octal(bytes[2]) && is_octal(bytes[3]);

		if (!like_escape && text_char_is_safe(bytes, len)) {
			end = mempcpy(end, bytes, len);
			bytes += len;
			continue;
		}
		for (size_t i = 0; i < (len ? len : 1); i++)
			end += sprintf(end, "\\%03o", (unsigned char)bytes[i]);
		bytes += len ? len : 1;
	}
	*end = '\0';
	return text;
}

size_t text_columns(const char *safe)
{
	size_t columns = 0;

	for (; *safe; safe++)
		columns += ((unsigned char)*safe & 0xc0) != 0x80;
	return columns;
}

void text_decode_octal(char *s)
{
	char *from = strchr(s, '\\'), *to = from;

	while (from && *from) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && is_octal(from[2]) && is_octal(from[3])) {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	if (to)
		*to = '\0';
}

bool text_ends_with(const char *s, const char *tail)
{
	size_t len = strlen(s), tail_len = strlen(tail);

	return len >= tail_len && strcmp(s + len - tail_len, tail) == 0;
}
