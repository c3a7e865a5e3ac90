/* findings: what `check` found, each with its mend. */
#include "findings.h"

#include <stdarg.h>
#include <string.h>

#include "text.h"
#include "util.h"

void findings_add(struct findings *findings, enum severity severity, const char *mend, const char *fmt, ...)
{
	struct finding *grown = reallocarray(findings->finding, findings->count + 1, sizeof *grown);
	va_list args;
	char *text;
	int n;

	if (!grown)
		return;
	findings->finding = grown;
	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n >= 0)
		findings->finding[findings->count++] = (struct finding){ .severity = severity, .text = text, .mend = mend ? strdup(mend) : NULL };
}

size_t findings_stops(const struct findings *findings)
{
	size_t count = 0;

	for (size_t i = 0; i < findings->count; i++)
		count += findings->finding[i].severity == FINDING_STOPS;
	return count;
}

void findings_print(const struct findings *findings, FILE *out)
{
	static const char *const words[] = { "ok    ", "spoils", "STOPS " };

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->finding[i];
		auto_free char *text = text_safe(finding->text);

		fprintf(out, "%s  %s\n", words[finding->severity], text ? text : "?");
		if (finding->mend)
			fprintf(out, "        mend: %s\n", finding->mend);
	}
}

void findings_clear(struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		free(findings->finding[i].text);
		free(findings->finding[i].mend);
	}
	free(findings->finding);
	*findings = (struct findings){ 0 };
}
