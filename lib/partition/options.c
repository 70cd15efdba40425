/* SPDX-License-Identifier: MIT */
/* Structs that carry their size. */
#include "partition/options.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* No struct of this API comes near it: a larger size is a wild one. */
#define OPTIONS_MAX 65536

int options_copy_in(void *ours, size_t known, const void *theirs)
{
	const uint8_t *bytes = theirs;
	size_t size;

	if (!theirs)
		return -EINVAL;
	memcpy(&size, theirs, sizeof(size));
	if (size < sizeof(size) || size > OPTIONS_MAX)
		return -EINVAL;
	for (size_t i = known; i < size; i++)
		if (bytes[i])
			return -EINVAL;
	memset(ours, 0, known);
	memcpy(ours, theirs, size < known ? size : known);
	return 0;
}

bool options_out_size_ok(size_t size)
{
	return size >= sizeof(size_t) + sizeof(uint64_t) && size <= OPTIONS_MAX;
}

void options_copy_out(void *theirs, const void *ours, size_t known)
{
	size_t size;

	memcpy(&size, theirs, sizeof(size));
	memset(theirs, 0, size);
	memcpy(theirs, ours, size < known ? size : known);
	memcpy(theirs, &size, sizeof(size));
}
