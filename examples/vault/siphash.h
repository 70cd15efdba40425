/* SPDX-License-Identifier: MIT */
/* SipHash-2-4, a keyed checksum: without the key nobody can tell the checksum of a new message. */
#ifndef VAULT_SIPHASH_H
#define VAULT_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint64_t key[2], const void *message, size_t length);

#endif
