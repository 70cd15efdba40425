// SPDX-License-Identifier: MIT
/*
 * What the library relies on KVM for, asserted through struct kvm_ops: the same code checks the
 * fake the unit tests run on (contract --fake) and a real KVM (contract --kvm [DEVICE]).
 */
#include <stdio.h>
#include <stdlib.h>
#include "probe/probe.h"
#include "world.h"

#define EXIT_SKIP 77

static int run_group(const char *name, const struct CMUnitTest *tests, size_t count)
{
	return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

static int run_all(void)
{
	return run_group("memslots", memslot_tests, memslot_test_count) +
	       run_group("registers", register_tests, register_test_count) +
	       run_group("exits", exit_tests, exit_test_count) +
	       run_group("protection", protection_tests, protection_test_count) +
	       run_group("events", event_tests, event_test_count) +
	       run_group("reset", reset_tests, reset_test_count) +
	       run_group("states", state_tests, state_test_count) +
	       run_group("pae", pae_tests, pae_test_count);
}

/* The contract leaves room where hosts differ: every kind of host the fake can be. */
static int check_fake(void)
{
	static const struct {
		const char *name;
		unsigned flags;
	} hosts[] = {
		{"kvm_amd of Linux 6.1", 0},
		{"kvm_amd of Linux 6.12", FAKE_EXIT_REASON_CLEARED},
		{"kvm_intel", FAKE_SHUTDOWN_KEEPS_STATE},
		{"a KVM that emulates guest code",
		 FAKE_EMULATES | FAKE_PIO_RIP_PAST | FAKE_SHUTDOWN_KEEPS_STATE},
	};
	int failed = 0;

	contract_host.fake = true;
	contract_host.device = "/dev/kvm";
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		print_message("as %s:\n", hosts[i].name);
		contract_host.fake_flags = hosts[i].flags;
		failed += run_all();
	}
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* NULL, or why the contract cannot be checked on the device. */
static const char *why_not(const char *device)
{
	const struct kvm_host *host = &kvm_linux_host;
	static struct vsm_probe probe = {.size = sizeof(probe)};
	int fd = host->ops->open_device(host, device);
	int ret;

	if (fd < 0)
		return strerror(-fd);
	ret = probe_host_on(host, fd, &probe);
	host->ops->close_fd(host, fd);
	if (ret)
		return strerror(-ret);
	for (size_t i = 0; i < probe.entry_count; i++) {
		if (probe.entries[i].needed && !probe.entries[i].present)
			return probe.entries[i].name;
	}
	return NULL;
}

static int check_kvm(const char *device)
{
	const char *why = why_not(device);

	if (why) {
		printf("skipped: %s is missing or not usable: %s\n", device, why);
		return EXIT_SKIP;
	}
	contract_host.device = device;
	return run_all() ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--fake") == 0)
		return check_fake();
	if ((argc == 2 || argc == 3) && strcmp(argv[1], "--kvm") == 0)
		return check_kvm(argc == 3 ? argv[2] : "/dev/kvm");
	fprintf(stderr, "usage: %s --fake | --kvm [DEVICE]\n", argv[0]);
	return 2;
}
