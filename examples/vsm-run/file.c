/* SPDX-License-Identifier: MIT */
/* Reads a whole file, of a known size or not (a pipe). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "file.h"

#define FIRST_ROOM 65536

static int grow(uint8_t **data, size_t *room, size_t max)
{
	size_t wanted = *room ? *room * 2 : FIRST_ROOM;
	uint8_t *larger;

	if (*room > max)
		return -EFBIG;
	larger = realloc(*data, wanted);
	if (!larger)
		return -ENOMEM;
	*data = larger;
	*room = wanted;
	return 0;
}

static int read_all(int fd, size_t max, uint8_t **data, size_t *size)
{
	size_t room = 0;
	ssize_t n = 1;
	int r;

	while (n != 0) {
		if (*size == room) {
			r = grow(data, &room, max);
			if (r)
				return r;
		}
		n = read(fd, *data + *size, room - *size);
		if (n < 0 && errno != EINTR)
			return -errno;
		*size += n > 0 ? (size_t)n : 0;
	}
	return *size > max ? -EFBIG : 0;
}

int file_read(const char *path, size_t max, struct blob *blob)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *data = NULL;
	size_t size = 0;
	int r;

	if (fd < 0)
		return -errno;
	r = read_all(fd, max, &data, &size);
	close(fd);
	if (r) {
		free(data);
		return r;
	}
	*blob = (struct blob){data, size, strrchr(path, '/') ? strrchr(path, '/') + 1 : path};
	return 0;
}
