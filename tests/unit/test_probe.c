// SPDX-License-Identifier: MIT
/* The host probe, on a host made of the four answers it asks for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "probe/probe.h"

#define DEV_FD	 7
#define VM_FD	 8
#define TEXT_MAX 8192

struct host_state {
	int api_version, vm_fd;
	long absent; /* the capability this host lacks */
	int absent_value, sync_regs;
	unsigned vms;
};

static int answer_api_version(const struct kvm_host *h, int fd)
{
	const struct host_state *s = h->ctx;

	assert_int_equal(fd, DEV_FD);
	return s->api_version;
}

static int answer_create_vm(const struct kvm_host *h, int fd)
{
	struct host_state *s = h->ctx;

	assert_int_equal(fd, DEV_FD);
	s->vms += s->vm_fd >= 0;
	return s->vm_fd;
}

static int answer_extension(const struct kvm_host *h, int fd, long cap)
{
	const struct host_state *s = h->ctx;

	assert_int_equal(fd, VM_FD);
	if (cap == s->absent)
		return s->absent_value;
	if (cap == KVM_CAP_SET_GUEST_DEBUG2)
		return KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ;
	return cap == KVM_CAP_SYNC_REGS ? s->sync_regs : 1;
}

static int answer_close(const struct kvm_host *h, int fd)
{
	struct host_state *s = h->ctx;

	assert_int_equal(fd, VM_FD);
	s->vms--;
	return 0;
}

static const struct kvm_ops answers = {
	.get_api_version = answer_api_version,
	.create_vm = answer_create_vm,
	.check_extension = answer_extension,
	.close_fd = answer_close,
};

static struct host_state complete_host(void)
{
	return (struct host_state){
		.api_version = KVM_API_VERSION, .vm_fd = VM_FD, .absent = -1, .sync_regs = 7};
}

/* The VM made for the questions never stays. */
static int ask(struct host_state *s, struct vsm_probe *probe)
{
	const struct kvm_host host = {.ops = &answers, .ctx = s};
	int ret = probe_host_on(&host, DEV_FD, probe);

	assert_int_equal(s->vms, 0);
	return ret;
}

static struct vsm_probe asked(struct host_state s)
{
	struct vsm_probe probe = {.size = sizeof(probe)};

	assert_int_equal(ask(&s, &probe), 0);
	assert_int_equal(probe.size, sizeof(probe));
	assert_int_equal(probe.entry_count, capability_count);
	return probe;
}

static const struct vsm_probe_entry *entry_of(const struct vsm_probe *probe, const char *name)
{
	for (size_t i = 0; i < probe->entry_count; i++) {
		if (strcmp(probe->entries[i].name, name) == 0)
			return &probe->entries[i];
	}
	fail_msg("no entry %s", name);
	return NULL;
}

static void test_complete_host(void **state)
{
	struct vsm_probe probe = asked(complete_host());

	(void)state;
	assert_true(probe.usable);
	assert_int_equal(probe.api_version, KVM_API_VERSION);
	for (size_t i = 0; i < probe.entry_count; i++) {
		const struct vsm_probe_entry *e = &probe.entries[i];

		assert_true(e->present);
		assert_true(e->value > 0);
		assert_true(e->name[0] && e->since[0] && e->purpose[0] && e->loss[0]);
		assert_ptr_equal(entry_of(&probe, e->name), e); /* named once */
	}
}

/* Without a needed one the host is not usable, without any other it is. */
static void test_each_missing(void **state)
{
	(void)state;
	for (size_t i = 0; i < capability_count; i++) {
		struct host_state s = complete_host();
		struct vsm_probe probe;

		s.absent = capabilities[i].number;
		probe = asked(s);
		assert_int_equal(probe.usable, !capabilities[i].needed);
		for (size_t j = 0; j < probe.entry_count; j++)
			assert_int_equal(probe.entries[j].present, i != j);
	}
}

/* What the design cannot do without, and what it can. */
static void test_needed(void **state)
{
	static const char *const needed[] = {
		"KVM_CAP_USER_MEMORY",	  "KVM_CAP_X86_USER_SPACE_MSR", "KVM_CAP_X86_MSR_FILTER",
		"KVM_CAP_IMMEDIATE_EXIT", "KVM_CAP_VCPU_EVENTS",	"KVM_CAP_XSAVE",
		"KVM_CAP_XCRS",		  "KVM_CAP_DEBUGREGS",		"KVM_CAP_EXT_CPUID",
	};
	static const char *const optional[] = {"KVM_CAP_READONLY_MEM", "KVM_CAP_SYNC_REGS",
					       "KVM_CAP_HYPERV", "KVM_CAP_XSAVE2",
					       "KVM_CAP_SIGNAL_MSI"};
	struct vsm_probe probe = asked(complete_host());

	(void)state;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		assert_true(entry_of(&probe, needed[i])->needed);
	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		assert_false(entry_of(&probe, optional[i])->needed);
}

static void test_refused_question(void **state)
{
	struct host_state s = complete_host();
	struct vsm_probe probe;

	(void)state;
	s.absent = KVM_CAP_USER_MEMORY;
	s.absent_value = -ENOTTY;
	probe = asked(s);
	assert_false(probe.usable);
	assert_false(entry_of(&probe, "KVM_CAP_USER_MEMORY")->present);
	assert_int_equal(entry_of(&probe, "KVM_CAP_USER_MEMORY")->value, 0);
}

static void test_sync_regs_in_part(void **state)
{
	struct host_state s = complete_host();
	struct vsm_probe probe;

	(void)state;
	s.sync_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	probe = asked(s);
	assert_true(probe.usable);
	assert_false(entry_of(&probe, "KVM_CAP_SYNC_REGS")->present);
	assert_int_equal(entry_of(&probe, "KVM_CAP_SYNC_REGS")->value, s.sync_regs);
}

/* A refusal with this errno, and nothing written. */
static void expect_refused(struct host_state s, size_t size, int error)
{
	struct vsm_probe probe, before;

	memset(&probe, 0x5a, sizeof(probe));
	probe.size = size;
	before = probe;
	assert_int_equal(ask(&s, &probe), -error);
	assert_memory_equal(&probe, &before, sizeof(probe));
}

static void test_errors(void **state)
{
	struct host_state s = complete_host();

	(void)state;
	assert_int_equal(ask(&s, NULL), -EINVAL);
	expect_refused(s, 0, EINVAL);
	expect_refused(s, sizeof(struct vsm_probe) - 1, EINVAL);
	expect_refused(s, sizeof(struct vsm_probe) + 1, EINVAL);
	s.api_version = -ENOTTY; /* no KVM device */
	expect_refused(s, sizeof(struct vsm_probe), EINVAL);
	s.api_version = -EBADF;
	expect_refused(s, sizeof(struct vsm_probe), EINVAL);
	s.api_version = KVM_API_VERSION - 1;
	expect_refused(s, sizeof(struct vsm_probe), ENOTSUP);
	s = complete_host();
	s.vm_fd = -EMFILE;
	expect_refused(s, sizeof(struct vsm_probe), EMFILE);
	s.vm_fd = -ENOMEM;
	expect_refused(s, sizeof(struct vsm_probe), ENOMEM);
}

/* The public function asks the real kernel, which knows that this is no KVM. */
static void test_public(void **state)
{
	const struct kvm_host *host = &kvm_linux_host;
	struct vsm_probe probe = {.size = sizeof(probe)};
	int fd = host->ops->create_memfd(host, "probe", 4096);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(vsm_probe_host(fd, &probe), -EINVAL);
	assert_int_equal(vsm_probe_host(-1, &probe), -EINVAL);
	assert_int_equal(vsm_probe_host(fd, NULL), -EINVAL);
	host->ops->close_fd(host, fd);
}

static size_t count_of(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
		n++;
	return n;
}

static void test_text(void **state)
{
	struct host_state s = complete_host();
	struct vsm_probe probe = asked(s);
	char *text = malloc(TEXT_MAX);
	int length;

	(void)state;
	assert_non_null(text);
	length = vsm_probe_text(&probe, text, TEXT_MAX);
	assert_int_equal(length, strlen(text));
	assert_int_equal(strncmp(text, "usable: KVM API 12", 18), 0);
	assert_int_equal(count_of(text, "\n"), 1 + probe.entry_count);
	assert_int_equal(count_of(text, "without it"), 0);
	for (size_t i = 0; i < probe.entry_count; i++) {
		assert_non_null(strstr(text, probe.entries[i].name));
		assert_non_null(strstr(text, probe.entries[i].purpose));
	}
	s.absent = KVM_CAP_X86_MSR_FILTER;
	probe = asked(s);
	length = vsm_probe_text(&probe, text, TEXT_MAX);
	assert_int_equal(length, strlen(text));
	assert_int_equal(strncmp(text, "not usable: KVM API 12, 1 needed", 32), 0);
	assert_int_equal(count_of(text, "without it"), 1);
	assert_non_null(strstr(text, entry_of(&probe, "KVM_CAP_X86_MSR_FILTER")->loss));
	free(text);
}

/* Whatever the room, the text is the start of the whole and the length that of the whole. */
static void test_text_cut(void **state)
{
	struct vsm_probe probe = asked(complete_host());
	int length = vsm_probe_text(&probe, NULL, 0);
	char *whole = malloc((size_t)length + 1);

	(void)state;
	assert_non_null(whole);
	assert_int_equal(vsm_probe_text(&probe, whole, (size_t)length + 1), length);
	assert_int_equal(strlen(whole), length);
	for (size_t room = 1; room <= (size_t)length; room++) {
		char *text = malloc(room); /* a byte too far is for the sanitizer to see */

		assert_non_null(text);
		memset(text, 'x', room);
		assert_int_equal(vsm_probe_text(&probe, text, room), length);
		assert_int_equal(strlen(text), room - 1);
		assert_memory_equal(text, whole, room - 1);
		free(text);
	}
	free(whole);
}

static void test_text_errors(void **state)
{
	struct vsm_probe probe = asked(complete_host());
	char text[8];

	(void)state;
	assert_int_equal(vsm_probe_text(NULL, text, sizeof(text)), -EINVAL);
	assert_int_equal(vsm_probe_text(&probe, NULL, 1), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete_host),
		cmocka_unit_test(test_each_missing),
		cmocka_unit_test(test_needed),
		cmocka_unit_test(test_refused_question),
		cmocka_unit_test(test_sync_regs_in_part),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_public),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_cut),
		cmocka_unit_test(test_text_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
