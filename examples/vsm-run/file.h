/* SPDX-License-Identifier: MIT */
/* Reads a whole file. */
#ifndef VSM_RUN_FILE_H
#define VSM_RUN_FILE_H

#include "load.h"

/* 0 with blob->data the caller's to free(); or -errno; -EFBIG: more than max bytes. */
int file_read(const char *path, size_t max, struct blob *blob);

#endif
