/* SPDX-License-Identifier: MIT */
/* vsm-run's loader on arbitrary images: it stays inside the file and inside guest memory. */
#include <stdint.h>
#include <stdlib.h>
#include "load.h"

#define RAM_SIZE (2u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The other files are parts of the input too, so that they may be like an image. */
	const struct blob module = {data, size / 2, "module"};
	const struct blob vtl1 = {data + size / 2, size - size / 2, "vtl1"};
	const struct load_request request = {.image = {data, size, "image"},
					     .initrd = size & 2 ? &module : NULL,
					     .vtl1 = size & 4 ? &vtl1 : NULL,
					     .cpus = 1 + (size >> 3 & 7),
					     .modules = &module,
					     .module_count = size & 1,
					     .append = "append"};
	static uint8_t memory[RAM_SIZE];
	const struct ram ram = {memory, RAM_SIZE};
	struct load_result result;
	struct load_error error = {.text = ""};

	if (load(&request, &ram, &result, &error) == 0 &&
	    (result.entry >= RAM_SIZE || result.info >= RAM_SIZE || result.boot_params >= RAM_SIZE))
		abort();
	return 0;
}
