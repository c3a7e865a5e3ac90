/* findings: what `check` found, each with its mend. */
#ifndef GCDBOOT_FINDINGS_H
#define GCDBOOT_FINDINGS_H

#include <stddef.h>
#include <stdio.h>

enum severity {
	FINDING_OK,     /* looked at, and in order */
	FINDING_SPOILS, /* the boot goes on, but not as one would wish */
	FINDING_STOPS,  /* the boot would fail */
};

struct finding {
	enum severity severity;
	char *text;
	char *mend; /* what to do; NULL where nothing is to be done */
};

struct findings {
	struct finding *finding;
	size_t count;
};

/* Adds one; mend may be NULL. Short of memory it is lost. */
void findings_add(struct findings *findings, enum severity severity, const char *mend, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* How many would stop the boot. */
size_t findings_stops(const struct findings *findings);

/* One line each, the mend below it. */
void findings_print(const struct findings *findings, FILE *out);

void findings_clear(struct findings *findings);

#endif
