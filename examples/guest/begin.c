/* SPDX-License-Identifier: MIT */
/* A payload's beginning, from boot.S. */
#include "guest.h"
#include "trap.h"

#define INFO_CMDLINE 4

/* The start of multiboot's information */
struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

static const char *command_line = "";

void guest_begin(const struct info *info);

void guest_begin(const struct info *info)
{
	if (info->flags & INFO_CMDLINE)
		command_line = (const char *)(uint64_t)info->cmdline;
	trap_setup();
	guest_exit((unsigned)guest_main());
}

bool guest_has_option(const char *word)
{
	size_t length = strlen(word);
	const char *p = command_line;

	for (; *p; p++)
		if ((p == command_line || p[-1] == ' ') && memcmp(p, word, length) == 0 &&
		    (p[length] == ' ' || !p[length]))
			return true;
	return false;
}
