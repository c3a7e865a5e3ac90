/* windows_code: the error codes of WSL and Windows, each with its sentence. Pure. */
#include "windows_code.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers are those of wslservice.idl and winerror.h, as an HRESULT. */
static const struct windows_code codes[] = {
	{ "WSL_E_ELEVATION_NEEDED_TO_MOUNT_DISK", 0x80040315, WINDOWS_NEVER,
	  "gcdboot was not started as administrator: start it from a task with the highest privileges, or an elevated terminal" },
	{ "WSL_E_DISK_ALREADY_ATTACHED", 0x80040318, WINDOWS_ALREADY, "it is attached already" },
	{ "WSL_E_TOO_MANY_DISKS_ATTACHED", 0x80040305, WINDOWS_NEVER,
	  "WSL holds as many disks as it can: give others back to Windows, each with `wsl.exe --unmount \\\\.\\PHYSICALDRIVEn`" },
	{ "WSL_E_DISK_MOUNT_DISABLED", 0x8004032b, WINDOWS_NEVER,
	  "a policy of this Windows forbids it: ask who administers it for WSL's \"allow disk mount\"" },
	{ "WSL_E_LOCAL_SYSTEM_NOT_SUPPORTED", 0x8004032e, WINDOWS_NEVER,
	  "gcdboot was started as LocalSystem, whom WSL does not serve: let the task run as the user" },
	{ "WSL_E_WSL_MOUNT_NOT_SUPPORTED", 0, WINDOWS_NEVER, "this Windows cannot hand over disks: Windows 11, or WSL from the Store, can" },
	{ "ERROR_SHARING_VIOLATION", 0x80070020, WINDOWS_NEVER,
	  "it is the disk that Windows runs from (mostly PHYSICALDRIVE0), which cannot be attached, or a program of Windows uses it: close that, or name another disk" },
	{ "ERROR_DRIVE_LOCKED", 0x8007006c, WINDOWS_NEVER,
	  "a volume on it is open in Windows: take the disk offline there first (diskmgmt.msc, or Set-Disk -IsOffline in an elevated PowerShell)" },
	{ "ERROR_FILE_NOT_FOUND", 0x80070002, WINDOWS_LATER,
	  "Windows has no disk of that number: the numbers change between boots, `attach = serial:...` stays (`gcdboot check` lists the disks)" },
	{ "ERROR_ACCESS_DENIED", 0x80070005, WINDOWS_LATER,
	  "Windows denied it: a task that runs before anybody has logged on must run as the user, with the highest privileges" },
	{ "ERROR_NOT_READY", 0x80070015, WINDOWS_LATER, "it was not ready in time" },
	{ "ERROR_BUSY", 0x800700aa, WINDOWS_LATER, "it was busy all the time" },
	{ "ERROR_SERVICE_NOT_ACTIVE", 0x80070426, WINDOWS_LATER, "the service of WSL was not running in time" },
	{ "ERROR_NO_SUCH_LOGON_SESSION", 0x80070520, WINDOWS_LATER, "WSL served no session before somebody had logged on" },
	{ "ERROR_TIMEOUT", 0x800705b4, WINDOWS_LATER, "WSL did not answer itself in time" },
	{ "RPC_S_SERVER_UNAVAILABLE", 0x800706ba, WINDOWS_LATER, "the service of WSL did not answer" },
};

static const struct windows_code *find_token(const char *token, size_t len)
{
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (strlen(codes[i].name) == len && strncmp(codes[i].name, token, len) == 0)
			return &codes[i];
	return NULL;
}

static const struct windows_code *find_hex(const char *digits)
{
	uint32_t hex = (uint32_t)strtoul(digits, NULL, 16);

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (codes[i].hex && codes[i].hex == hex)
			return &codes[i];
	return NULL;
}

/* How long the symbolic name is that begins here, 0 where none does. */
static size_t name_length(const char *p)
{
	size_t len = 0;

	if (strncmp(p, "WSL_E_", 6) != 0 && strncmp(p, "ERROR_", 6) != 0 && strncmp(p, "RPC_S_", 6) != 0)
		return 0;
	while (isupper((unsigned char)p[len]) || isdigit((unsigned char)p[len]) || p[len] == '_')
		len++;
	return len;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static size_t hex_length(const char *p)
{
	size_t digits;

	if (p[0] != '0' || (p[1] != 'x' && p[1] != 'X'))
		return 0;
	digits = strspn(p + 2, "0123456789abcdefABCDEF");
	return digits == 8 && !is_word(p[10]) ? 10 : 0;
}

const struct windows_code *windows_code_find(const char *text, char shown[WINDOWS_CODE_MAX])
{
	shown[0] = '\0';
	for (const char *p = text; *p; p++) {
		const struct windows_code *code;
		size_t name = 0, hex = 0;

		/* Not in the middle of a word: MY_ERROR_X is no ERROR_X. */
		if (p == text || !is_word(p[-1])) {
			name = name_length(p);
			hex = hex_length(p);
		}
		if (!name && !hex)
			continue;
		code = name ? find_token(p, name) : find_hex(p + 2);
		snprintf(shown, WINDOWS_CODE_MAX, "%.*s", (int)(name ? name : hex), p);
		if (code)
			return code;
		p += (name ? name : hex) - 1;
	}
	return NULL;
}
