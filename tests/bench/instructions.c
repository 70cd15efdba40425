/* SPDX-License-Identifier: MIT */
/*
 * vsm-bench-instructions: VTL switches and hypercalls on the model of KVM, as often as asked, for a
 * profiler that counts instructions (scripts/lib/instructions.py). Two runs that differ in N differ
 * in nothing else. usage: vsm-bench-instructions OPERATION N
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake_kvm.h"
#include "msr/synthetic.h"
#include "partition/partition.h"
#include "vcpu/vcpu.h"

#define RAM_SIZE       UINT64_C(0x400000)
#define TABLES	       0x1000 /* one page each of levels 4 to 1 */
#define CODE_PAGE      0x10000
#define ASSIST_PAGE    0x11000
#define LOWER	       0x20000
#define HIGHER	       0x21000
#define INPUT	       0x22000
#define OUTPUT	       0x23000
#define ENTRY_CALL     (CODE_PAGE + 0x16)
#define ENTRY_RETURN   (CODE_PAGE + 0x20)
#define OUT_LENGTH     2
#define PORT	       0xe7
#define PORT_VMM       0x3f8
#define INVALID_CODE   0x3fff
#define LONG_SPIN_WAIT (UINT64_C(8) | UINT64_C(1) << 16) /* fast */
#define GET_REGISTER   (UINT64_C(0x50) | UINT64_C(1) << 32)
#define TABLE_ENTRY    0x67
#define CPUID_MAX      256
#define XSAVE_SIZE     4096
#define XSTATE_BV      (512 / sizeof(uint64_t))
#define PKRU	       9
#define PKRU_SIZE      8
#define PKRU_OFFSET    2688
#define IN_USE	       0x207 /* x87, SSE, AVX, PKRU */

static struct {
	struct fake_kvm *fake;
	const struct kvm_host *host;
	int dev_fd, vm_fd, mem_fd;
	uint8_t *ram;
	struct vsm_partition *partition;
	struct vsm_vcpu *vcpu;
	unsigned long left;
	uint64_t control;
} b;

static void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "vsm-bench-instructions: %s\n", what);
	exit(1);
}

/* As on the stock kernels: the host has PKRU besides AVX. */
static void add_pkru(void)
{
	struct kvm_cpuid2 *table =
		calloc(1, sizeof(*table) + CPUID_MAX * sizeof(table->entries[0]));

	need(table, "memory");
	table->nent = CPUID_MAX - 1;
	need(!b.host->ops->get_supported_cpuid(b.host, b.dev_fd, table), "the host's CPUID");
	table->entries[table->nent++] =
		(struct kvm_cpuid_entry2){.function = 0xd,
					  .index = PKRU,
					  .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
					  .eax = PKRU_SIZE,
					  .ebx = PKRU_OFFSET};
	fake_kvm_set_cpuid(b.fake, table->entries, table->nent);
	fake_kvm_set_xcr0_mask(b.fake, IN_USE);
	free(table);
}

/* And its guests' images name all components. */
static void use_components(unsigned vtl)
{
	int fd = vsm_vcpu_fd(b.vcpu, vtl);
	static uint64_t image[XSAVE_SIZE / sizeof(uint64_t)];

	need(!b.host->ops->get_xsave(b.host, fd, image, sizeof(image)), "the XSAVE image");
	image[XSTATE_BV] = IN_USE;
	need(!b.host->ops->set_xsave(b.host, fd, image), "the XSAVE image");
}

static void open_host(void)
{
	void *ram;

	b.fake = fake_kvm_new();
	b.host = fake_kvm_host(b.fake);
	b.dev_fd = b.host->ops->open_device(b.host, "/dev/kvm");
	add_pkru();
	b.vm_fd = b.host->ops->create_vm(b.host, b.dev_fd);
	b.mem_fd = b.host->ops->create_memfd(b.host, "ram", RAM_SIZE);
	need(!b.host->ops->map_memory(b.host, b.mem_fd, 0, RAM_SIZE, KVM_MAP_READ_WRITE, NULL,
				      &ram),
	     "mapping memory");
	b.ram = ram;
}

/* The first 2 MiB one to one, by pages of 4 KiB. */
static void write_tables(void)
{
	uint64_t *t = (uint64_t *)(b.ram + TABLES);

	for (unsigned level = 0; level < 3; level++)
		t[level * 512] = (TABLES + (level + 1) * 0x1000) | TABLE_ENTRY;
	for (uint64_t i = 0; i < 512; i++)
		t[3 * 512 + i] = i << 12 | TABLE_ENTRY;
}

static void start(void)
{
	struct vsm_partition_options o = {.size = sizeof(o), .kvm_fd = b.dev_fd, .vm_fd = b.vm_fd};
	struct vsm_memory_region region = {
		.size = sizeof(region), .bytes = RAM_SIZE, .fd = b.mem_fd};
	struct vsm_vcpu_options vo = {.size = sizeof(vo)};

	need(!partition_create_on(b.host, &o, &b.partition), "making the partition");
	need(!vsm_partition_map_memory(b.partition, &region), "giving it memory");
	need(!vsm_vcpu_create(b.partition, &vo, &b.vcpu), "making its processor");
	write_tables();
	b.partition->enabled_vtls |= 2;
	b.vcpu->enabled_vtls |= 2;
	for (unsigned vtl = 0; vtl < 2; vtl++) {
		use_components(vtl);
		fake_vcpu_long_mode(b.fake, vsm_vcpu_fd(b.vcpu, vtl), TABLES, vtl ? HIGHER : LOWER,
				    0x9000);
		need(!synthetic_write(b.vcpu, vtl, HV_MSR_GUEST_OS_ID, 1) &&
			     !synthetic_write(b.vcpu, vtl, HV_MSR_HYPERCALL, CODE_PAGE | 1),
		     "the hypercall page");
	}
	need(!synthetic_write(b.vcpu, 1, HV_MSR_VP_ASSIST_PAGE, ASSIST_PAGE | 1),
	     "the assist page");
	need(!memory_limit_default(&b.partition->memory, 1, PROT_ALL), "protections");
}

/* At LOWER: the VMM, when all is done; else what is measured, once more. */
static int lower(struct fake_guest *g, void *ctx)
{
	uint64_t entry = *(const uint64_t *)ctx;

	if (!b.left)
		return FAKE_NEXT;
	b.left--;
	g->regs->rcx = b.control;
	g->regs->rdx = INPUT;
	g->regs->r8 = OUTPUT;
	g->regs->rip = entry;
	return FAKE_AGAIN;
}

/* At HIGHER: a VTL return, fast. */
static int higher(struct fake_guest *g, void *ctx)
{
	(void)ctx;
	g->regs->rcx = 1;
	g->regs->rip = ENTRY_RETURN;
	return FAKE_AGAIN;
}

static void run(uint64_t entry)
{
	const struct fake_step lower_program[] = {
		{.kind = FAKE_CALL, .rip = LOWER, .length = 1, .fn = lower, .ctx = &entry},
		{.kind = FAKE_OUT, .rip = LOWER + 1, .length = 1, .size = 1, .port = PORT_VMM},
		{.kind = FAKE_OUT, .rip = entry, .length = OUT_LENGTH, .size = 1, .port = PORT},
		{.kind = FAKE_SET, .rip = entry + OUT_LENGTH, .reg = FAKE_RIP, .data = LOWER},
	};
	const struct fake_step higher_program[] = {
		{.kind = FAKE_CALL, .rip = HIGHER, .length = 1, .fn = higher},
		{.kind = FAKE_OUT,
		 .rip = ENTRY_RETURN,
		 .length = OUT_LENGTH,
		 .size = 1,
		 .port = PORT},
		{.kind = FAKE_SET,
		 .rip = ENTRY_RETURN + OUT_LENGTH,
		 .reg = FAKE_RIP,
		 .data = HIGHER},
	};
	struct kvm_run *exit;

	fake_vcpu_program(b.fake, vsm_vcpu_fd(b.vcpu, 0), lower_program, ARRAY_SIZE(lower_program));
	fake_vcpu_program(b.fake, vsm_vcpu_fd(b.vcpu, 1), higher_program,
			  ARRAY_SIZE(higher_program));
	need(!vsm_vcpu_run(b.vcpu, &exit), "running the guest");
	need(exit->exit_reason == KVM_EXIT_IO && exit->io.port == PORT_VMM,
	     "the guest went elsewhere");
}

static void write_input(void)
{
	static const struct {
		uint64_t partition;
		uint32_t vp, vtl, name;
	} input = {UINT64_MAX, 0xfffffffe, 0, 0x000d0003 /* HvRegisterVsmVpStatus */};

	memcpy(b.ram + INPUT, &input, sizeof(input));
}

static const struct operation {
	const char *name;
	uint64_t entry, control;
	bool fails;
} operations[] = {
	{"switches", ENTRY_CALL, 0, false},
	{"invalid", CODE_PAGE, INVALID_CODE, true},
	{"simple", CODE_PAGE, LONG_SPIN_WAIT, false},
	{"registers", CODE_PAGE, GET_REGISTER, false},
};

static const struct operation *find_operation(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(operations); i++)
		if (!strcmp(name, operations[i].name))
			return &operations[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct operation *o = argc == 3 ? find_operation(argv[1]) : NULL;
	struct vsm_vcpu_stats stats = {.size = sizeof(stats)};

	need(o, "usage: vsm-bench-instructions switches|invalid|simple|registers N");
	open_host();
	start();
	write_input();
	b.left = strtoul(argv[2], NULL, 10);
	b.control = o->control;
	run(o->entry);
	vsm_vcpu_get_stats(b.vcpu, &stats);
	need(stats.hypercall_errors == (o->fails ? stats.hypercalls : 0), "another result");
	printf("%llu VTL calls, %llu hypercalls\n", (unsigned long long)stats.vtl_calls,
	       (unsigned long long)stats.hypercalls);
	return 0;
}
