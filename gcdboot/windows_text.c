/* windows_text: what a Windows program has printed, as text. Pure. */
#include "windows_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "util.h"

struct output {
	char *text;
	size_t len;
};

/* Appends a character, but no '\r', no NUL, and no second newline. */
static void put_char(struct output *out, uint32_t c)
{
	unsigned char *at = (unsigned char *)out->text + out->len;

	if (c == '\r' || c == 0 || c == 0xfeff || (c == '\n' && (out->len == 0 || at[-1] == '\n')))
		return;
	if (c < 0x80) {
		*at++ = (unsigned char)c;
	} else if (c < 0x800) {
		*at++ = (unsigned char)(0xc0 | c >> 6);
		*at++ = (unsigned char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*at++ = (unsigned char)(0xe0 | c >> 12);
		*at++ = (unsigned char)(0x80 | (c >> 6 & 0x3f));
		*at++ = (unsigned char)(0x80 | (c & 0x3f));
	} else {
		*at++ = (unsigned char)(0xf0 | c >> 18);
		*at++ = (unsigned char)(0x80 | (c >> 12 & 0x3f));
		*at++ = (unsigned char)(0x80 | (c >> 6 & 0x3f));
		*at++ = (unsigned char)(0x80 | (c & 0x3f));
	}
	out->len = (size_t)(at - (unsigned char *)out->text);
}

static uint32_t unit_at(const unsigned char *bytes, size_t at)
{
	return (uint32_t)bytes[at] | (uint32_t)bytes[at + 1] << 8;
}

static void put_utf16(struct output *out, const unsigned char *bytes, size_t size)
{
	for (size_t at = 0; at + 1 < size; at += 2) {
		uint32_t c = unit_at(bytes, at), low;

		if (c >= 0xd800 && c < 0xdc00 && at + 3 < size && (low = unit_at(bytes, at + 2)) >= 0xdc00 && low < 0xe000) {
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			at += 2;
		} else if (c >= 0xd800 && c < 0xe000) {
			c = '?';
		}
		put_char(out, c);
	}
}

/* Already UTF-8, or of a code page that nobody tells us: that is for text_safe() to show. */
static void put_bytes(struct output *out, const unsigned char *bytes, size_t size)
{
	for (size_t at = 0; at < size; at++) {
		if (bytes[at] == '\r' || bytes[at] == '\n' || bytes[at] == '\0')
			put_char(out, bytes[at]);
		else
			out->text[out->len++] = (char)bytes[at];
	}
}

/*
 * Where the UTF-16 begins: what WSL's own interpreter has said before it is of single bytes. In front of the first NUL stands the first unit's other
 * half. `size` where there is no UTF-16 at all.
 */
static size_t utf16_begin(const unsigned char *bytes, size_t size)
{
	const unsigned char *nul;

	if (size >= 2 && bytes[0] == 0xff && bytes[1] == 0xfe)
		return 0;
	nul = memchr(bytes, '\0', size);
	if (!nul)
		return size;
	/* A line of another script may begin before the first NUL: only a whole line in front of it is taken for single bytes. */
	for (size_t at = nul > bytes ? (size_t)(nul - bytes) - 1 : 0; at > 0; at--)
		if (bytes[at - 1] == '\n' && ((size_t)(nul - bytes) - at) % 2 == 1)
			return at;
	return 0;
}

char *windows_text(const void *bytes, size_t size)
{
	/* Two bytes of UTF-16 become three of UTF-8 at most. */
	struct output out = { .text = malloc(size / 2 * 3 + 4) };
	size_t begin;

	if (!out.text)
		return NULL;
	begin = size ? utf16_begin(bytes, size) : 0;
	put_bytes(&out, bytes, begin);
	put_utf16(&out, (const unsigned char *)bytes + begin, size - begin);
	while (out.len > 0 && (out.text[out.len - 1] == '\n' || out.text[out.len - 1] == ' '))
		out.len--;
	out.text[out.len] = '\0';
	return out.text;
}

char *windows_text_line(const char *text, size_t max)
{
	auto_free char *line = strndup(text, max);

	if (!line)
		return NULL;
	for (char *p = line; *p; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	return text_safe(line);
}
