/* nearest: which word was probably meant. */
#include "nearest.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 63

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment: three rows of the table are enough, a swap looks two rows back. */
size_t nearest_distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], *before = rows[0], *above = rows[1], *row = rows[2], *oldest;
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return NEAREST_FAR;
	for (size_t j = 0; j <= b_len; j++)
		above[j] = before[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] = min(min(above[j], row[j - 1]) + 1, above[j - 1] + !same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				row[j] = min(row[j], before[j - 2] + 1);
		}
		oldest = before;
		before = above;
		above = row;
		row = oldest;
	}
	return above[b_len];
}

size_t nearest_limit(const char *word)
{
	return strlen(word) / 3 + 1;
}
