/* nearest: which word was probably meant. */
#ifndef CONF_NEAREST_H
#define CONF_NEAREST_H

#include <stddef.h>

/*
 * How many letters have to be inserted, deleted, exchanged for another, or swapped with their neighbour, to make one word the other; case is ignored.
 * Words of more than 63 bytes are not compared: they are far from everything (NEAREST_FAR).
 */
size_t nearest_distance(const char *a, const char *b);

#define NEAREST_FAR ((size_t)1000)

/* The greatest distance at which another word is still worth a question: about one letter in three. */
size_t nearest_limit(const char *word);

#endif
