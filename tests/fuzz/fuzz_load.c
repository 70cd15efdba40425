/* SPDX-License-Identifier: MIT */
/* vsm-run's loader on arbitrary images: it stays inside the file and inside guest memory. */
#include <stdint.h>
#include <stdlib.h>
#include "load.h"

#define RAM_SIZE (2u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The first half of the input is the image too, so that a module may be like one. */
	const struct blob module = {data, size / 2, "module"};
	const struct load_request request = {.image = {data, size, "image"},
					     .modules = &module,
					     .module_count = size & 1,
					     .append = "append"};
	static uint8_t memory[RAM_SIZE];
	const struct ram ram = {memory, RAM_SIZE};
	struct load_result result;
	struct load_error error = {""};

	if (load(&request, &ram, &result, &error) == 0 &&
	    (result.entry >= RAM_SIZE || result.info >= RAM_SIZE))
		abort();
	return 0;
}
