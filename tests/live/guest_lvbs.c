/* SPDX-License-Identifier: MIT */
/*
 * A VTL1 and its loader in VTL0 that ask the hypervisor for what LVBS does (a kernel in VTL1 that
 * guards a Linux in VTL0: heki-linux, microsoft/litebox), in its order: VTL1 enabled with MBEC, a
 * first call before VTL1 has a VP assist page, its other processors enabled from VTL1 while they
 * are halted in VTL0, registers locked, memory protected; then MSR writes that are allowed and
 * denied, accesses to memory that are denied, flushes. All returns give RAX and RCX back from the
 * assist page.
 *
 * The word `accept`: the VMM accepts intercepts that cannot be had; else LVBS must do without.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "hv.h"
#include "trap.h"
#include "vtl.h"

#define VPS_MAX		 8
#define STACK_SIZE	 8192 /* as smp_entry.S has it */
#define STARTUP_PAGE	 8    /* its SMP_TRAMPOLINE */
#define SINT_VECTOR	 0xf3
#define WORK_VECTOR	 0xd8
#define MSR_APIC_BASE	 0x1b
#define MSR_SYSENTER_CS	 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define MSR_CSTAR	 0xc0000083
#define MSR_X2APIC_EOI	 0x80b
#define MSR_SPIV	 0x80f
#define MSR_ICR		 0x830
#define ICR_INIT	 0x4500
#define ICR_STARTUP	 0x4600
#define X2APIC		 0xc00

#define TLB_LOCKED	 2
#define RETURN_RESTORES	 0
#define BOOT_TOKEN	 0xdc

/* What VTL0 asks of VTL1: function and arguments in RDI, RSI, RDX, the answer in R8. */
enum function {
	BOOT,
	ENABLE_APS = 0x1ffe0,
	BOOT_APS,
	LOCK_REGISTERS,
	END_OF_BOOT,
	PROTECT_MEMORY,
};

/* Writes to CR0, CR4 and the table registers, which the library may refuse; and to MSRs. */
#define LOCK_CONTROL	  UINT64_C(0x00078003)
#define LOCK_MSRS	  UINT64_C(0x00785540)
#define CR4_PINNED	  UINT64_C(0x00310800) /* SMEP, SMAP, UMIP and the like */
#define CR0_PINNED	  UINT64_C(0x00010000) /* WP */

#define REGISTER_STATUS	  0x000d0004
#define REGISTER_CR0_MASK 0x000e0001
#define REGISTER_CR4_MASK 0x000e0002

/* What VTL0 wants protected, in a page of its own. */
struct range {
	uint64_t first, pages;
	uint32_t mask;
};

extern char smp_trampoline[], smp_trampoline_end[], vtl_entry[];
void smp_main(unsigned vp) __attribute__((noreturn));

uint8_t smp_stacks[VPS_MAX][STACK_SIZE] PAGE_ALIGNED;
struct table_pointer smp_idt;

static union {
	struct hv_vp_vtl enable_vp;
	struct hv_partition_vtl enable_partition;
	uint64_t flush[8];
} input PAGE_ALIGNED;

static unsigned vp_count;

static unsigned own_vp(void)
{
	return (unsigned)rdmsr(HV_MSR_VP_INDEX);
}

/* ---- VTL1 ---- */

/* Registers that are locked: their MSR, for those that are intercepted as one. */
static const struct {
	uint32_t name, msr;
} locked[] = {
	{0x00080001, MSR_EFER},
	{0x00080008, MSR_STAR},
	{0x00080009, MSR_LSTAR},
	{0x0008000a, MSR_CSTAR},
	{0x0008000b, MSR_SFMASK},
	{0x00080003, MSR_APIC_BASE},
	{0x00080005, MSR_SYSENTER_CS},
	{0x00080006, MSR_SYSENTER_EIP},
	{0x00080007, MSR_SYSENTER_ESP},
	{0x00040000, 0}, /* CR0, CR3, CR4 */
	{0x00040002, 0},
	{0x00040003, 0},
	{0x00070000, 0},
	{0x00070001, 0}, /* IDTR, GDTR */
	{0x00060006, 0},
	{0x00060007, 0}, /* LDTR, TR */
};

#define LOCKED (sizeof(locked) / sizeof(locked[0]))

static uint8_t secure_stacks[VPS_MAX][STACK_SIZE] PAGE_ALIGNED;
static uint8_t assist_pages[VPS_MAX][PAGE_SIZE] PAGE_ALIGNED;
static uint8_t message_pages[VPS_MAX][PAGE_SIZE] PAGE_ALIGNED;
static uint8_t secret[PAGE_SIZE] PAGE_ALIGNED;

static struct secure {
	bool booted;
	uint64_t locked[LOCKED];
	volatile unsigned interrupts;
} secure[VPS_MAX];

static bool boot_over;
static volatile unsigned memory_intercepts, msr_intercepts;

static void set_own(uint32_t name, uint64_t value)
{
	CHECK_EQUAL(hv_set_register(HV_OWN_VTL, name, value), HV_SUCCESS);
}

/* The input VTL is left empty: the VTL below is meant. */
static void protect(uint64_t first, uint64_t pages, uint32_t mask)
{
	uint64_t result = hv_protect_from(0, (void *)(first * PAGE_SIZE), pages, mask);

	CHECK_EQUAL(HV_STATUS(result), HV_SUCCESS);
	CHECK_EQUAL(HV_REPS_DONE(result), pages);
}

static void on_sint(struct trap_frame *f)
{
	(void)f;
	secure[own_vp()].interrupts++;
}

/* No SINT but the first, and that ends by itself. */
static void boot_vp(unsigned vp)
{
	__asm__ volatile("lidt %0" : : "m"(smp_idt));
	if (vp == 0)
		hv_setup();
	wrmsr(HV_MSR_VP_ASSIST_PAGE, (uint64_t)assist_pages[vp] | HV_ENABLE);
	wrmsr(HV_MSR_SCONTROL, HV_ENABLE);
	wrmsr(HV_MSR_SIMP, (uint64_t)message_pages[vp] | HV_ENABLE);
	wrmsr(HV_MSR_SINT0, SINT_VECTOR | HV_SINT_AUTO_EOI);
	set_own(HV_REGISTER_SECURE_CONFIG, HV_SECURE_CONFIG_MBEC | TLB_LOCKED);
	secure[vp].booted = true;
	if (vp)
		return;
	hv_protections_on();
	protect((uint64_t)secret / PAGE_SIZE, 1, HV_NO_ACCESS);
}

/* Descriptors without limits, no LDT, no IDT, a null stack segment. */
static uint16_t enable_vp(unsigned vp)
{
	const struct hv_segment data = {.selector = 0x10, .attributes = 0x4093};
	const struct hv_table gdt = {
		.limit = (uint16_t)((char *)guest_gdt_end - (char *)guest_gdt - 1),
		.base = (uint64_t)guest_gdt};

	input.enable_vp = (struct hv_vp_vtl){
		.partition = HV_PARTITION_SELF,
		.vp = vp,
		.vtl = 1,
		.context =
			{
				.rip = (uint64_t)vtl_entry,
				.rsp = (uint64_t)secure_stacks[vp] + STACK_SIZE,
				.rflags = 2,
				.cs = {.selector = 8, .attributes = 0x209b},
				.ds = data,
				.es = data,
				.fs = data,
				.gs = data,
				.tr = {.limit = 0x67, .selector = 0x18, .attributes = 0x8b},
				.gdtr = gdt,
				.efer = 0xd01,	   /* NXE, LMA, LME, SCE */
				.cr0 = 0x80010033, /* PG, WP, NE, ET, MP, PE */
				.cr3 = (uint64_t)guest_page_tables,
				.cr4 = 0xb0, /* PGE, PAE, PSE */
				.pat = UINT64_C(0x0007040600070406),
			},
	};
	return HV_STATUS(hv_call(HV_ENABLE_VP_VTL, (uint64_t)&input, 0));
}

static void enable_aps(void)
{
	for (unsigned vp = 1; vp < vp_count; vp++)
		CHECK_EQUAL(enable_vp(vp), HV_SUCCESS);
}

static void lock_registers(struct secure *s)
{
	uint64_t ignored;
	uint16_t status;

	for (unsigned i = 0; i < LOCKED; i++)
		CHECK_EQUAL(hv_get_register(HV_VTL(0), locked[i].name, &s->locked[i]), HV_SUCCESS);
	CHECK_EQUAL(hv_get_register(HV_VTL(0), HV_REGISTER_RIP, &ignored), HV_SUCCESS);
	status = hv_set_register(HV_OWN_VTL, HV_REGISTER_CR_INTERCEPT, LOCK_CONTROL | LOCK_MSRS);
	CHECK_EQUAL(status, guest_has_option("accept") ? HV_SUCCESS : HV_OPERATION_DENIED);
	if (status)
		set_own(HV_REGISTER_CR_INTERCEPT, LOCK_MSRS);
	set_own(REGISTER_CR4_MASK, CR4_PINNED);
	set_own(REGISTER_CR0_MASK, CR0_PINNED);
}

static void protect_ranges(const struct range *ranges, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		protect(ranges[i].first, ranges[i].pages, ranges[i].mask);
}

static uint64_t serve(unsigned vp, const struct vtl_frame *f)
{
	if (boot_over && f->rdi >= ENABLE_APS)
		return HV_ACCESS_DENIED;
	switch (f->rdi) {
	case ENABLE_APS:
		enable_aps();
		return 0;
	case BOOT_APS:
		memset((void *)(f->rsi * PAGE_SIZE), BOOT_TOKEN, vp_count);
		return 0;
	case LOCK_REGISTERS:
		lock_registers(&secure[vp]);
		return 0;
	case PROTECT_MEMORY:
		protect_ranges((const struct range *)(f->rsi * PAGE_SIZE), f->rdx);
		return 0;
	case END_OF_BOOT:
		boot_over = true;
		return 0;
	default:
		return HV_INVALID_PARAMETER;
	}
}

/* Allowed is what leaves the register as it was when it was locked. */
static void decide_msr(struct secure *s, const struct hv_msr_intercept *m)
{
	uint64_t value = m->rdx << 32 | (uint32_t)m->rax;
	unsigned i = 0;

	msr_intercepts++;
	CHECK_EQUAL(m->access, HV_ACCESS_WRITE);
	while (i < LOCKED && locked[i].msr != m->msr)
		i++;
	CHECK(i < LOCKED);
	if (value != s->locked[i]) {
		CHECK_EQUAL(hv_inject(HV_VTL(0), TRAP_GP), HV_SUCCESS);
		return;
	}
	CHECK_EQUAL(hv_set_register(HV_VTL(0), locked[i].name, value), HV_SUCCESS);
	CHECK_EQUAL(
		hv_set_register(HV_VTL(0), HV_REGISTER_RIP, m->rip + (m->instruction_length & 0xf)),
		HV_SUCCESS);
}

/* The interrupt only says that the slot is to be looked at. */
static void serve_intercept(unsigned vp)
{
	volatile struct hv_intercept *slot = (volatile void *)message_pages[vp];
	unsigned before = secure[vp].interrupts;
	union {
		struct hv_intercept memory;
		struct hv_msr_intercept msr;
	} m;

	interrupts_on();
	for (unsigned i = 0; i < 1000000 && secure[vp].interrupts == before; i++)
		pause();
	interrupts_off();
	memcpy(&m, message_pages[vp], sizeof(m));
	slot->type = 0;
	__asm__ volatile("mfence" : : : "memory");
	if (slot->flags & 1)
		wrmsr(HV_MSR_EOM, 0);
	CHECK_EQUAL(m.memory.vp_index, vp);
	if (m.memory.type == HV_MESSAGE_MSR_INTERCEPT) {
		decide_msr(&secure[vp], &m.msr);
		return;
	}
	CHECK_EQUAL(m.memory.type, HV_MESSAGE_GPA_INTERCEPT);
	memory_intercepts++;
	CHECK_EQUAL(hv_inject(HV_VTL(0), TRAP_GP), HV_SUCCESS);
}

uint64_t vtl_entered(struct vtl_frame *f)
{
	unsigned vp = own_vp();
	volatile struct hv_assist *assist = (volatile struct hv_assist *)assist_pages[vp];

	if (!secure[vp].booted)
		boot_vp(vp);
	else if (assist->entry_reason == HV_ENTRY_CALL)
		f->r8 = serve(vp, f);
	else
		serve_intercept(vp);
	assist->rax = f->rax;
	assist->rcx = f->rcx;
	return RETURN_RESTORES;
}

/* ---- VTL0 ---- */

static uint8_t signals[PAGE_SIZE] PAGE_ALIGNED; /* a byte for each VP: its VTL1 may be booted */
static struct range ranges[4] PAGE_ALIGNED;
static uint8_t text[PAGE_SIZE] PAGE_ALIGNED, rodata[PAGE_SIZE] PAGE_ALIGNED;
static uint8_t data[PAGE_SIZE] PAGE_ALIGNED;

static struct {
	volatile bool started;
	void (*volatile fn)(void);
} aps[VPS_MAX];

static uint64_t secure_call(uint64_t function, uint64_t a1, uint64_t a2)
{
	struct vtl_frame f = {.rax = 0xaaaa, .rdi = function, .rsi = a1, .rdx = a2};

	vtl_call(&f);
	CHECK_EQUAL(f.rax, 0xaaaa);
	CHECK_EQUAL(f.rcx, 0);
	return f.r8;
}

static void check_mbec(void)
{
	uint64_t status = 0;

	CHECK_EQUAL(hv_get_register(HV_OWN_VTL, HV_REGISTER_VP_STATUS, &status), HV_SUCCESS);
	CHECK(status & HV_VP_STATUS_MBEC);
	CHECK_EQUAL(status >> 16 & 0xffff, 3);
}

static void on_work(struct trap_frame *f)
{
	(void)f;
	wrmsr(MSR_X2APIC_EOI, 0);
}

static void enable_apic(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | X2APIC);
	wrmsr(MSR_SPIV, 0x1ff);
}

void smp_main(unsigned vp)
{
	enable_apic();
	aps[vp].started = true;
	for (;;) {
		if (!aps[vp].fn) {
			trap_halt();
			continue;
		}
		aps[vp].fn();
		aps[vp].fn = NULL;
	}
}

static void run_on(unsigned vp, void (*fn)(void))
{
	if (vp == own_vp()) {
		fn();
		return;
	}
	aps[vp].fn = fn;
	wrmsr(MSR_ICR, (uint64_t)vp << 32 | WORK_VECTOR);
	while (aps[vp].fn)
		pause();
}

static void start_ap(unsigned vp)
{
	memcpy((void *)(uintptr_t)(STARTUP_PAGE * PAGE_SIZE), smp_trampoline,
	       (size_t)(smp_trampoline_end - smp_trampoline));
	wrmsr(MSR_ICR, (uint64_t)vp << 32 | ICR_INIT);
	wrmsr(MSR_ICR, (uint64_t)vp << 32 | ICR_STARTUP | STARTUP_PAGE);
	while (!aps[vp].started)
		pause();
}

static void begin(void)
{
	vp_count = cpuid(1).ebx >> 16 & 0xff;
	vp_count = vp_count ? vp_count : 1;
	CHECK(vp_count <= VPS_MAX);
	trap_handle(WORK_VECTOR, on_work);
	trap_handle(SINT_VECTOR, on_sint);
	__asm__ volatile("sidt %0" : "=m"(smp_idt));
	hv_require_vsm();
	hv_setup();
	enable_apic();
	for (unsigned vp = 1; vp < vp_count; vp++)
		start_ap(vp);
}

static void load(void)
{
	uint64_t status = 0;

	CHECK_EQUAL(hv_get_register(HV_OWN_VTL, REGISTER_STATUS, &status), HV_SUCCESS);
	CHECK_EQUAL(status & 0xffff, 1);
	input.enable_partition = (struct hv_partition_vtl){
		.partition = HV_PARTITION_SELF, .vtl = 1, .flags = HV_ENABLE_MBEC};
	CHECK_EQUAL(HV_STATUS(hv_call(HV_ENABLE_PARTITION_VTL, (uint64_t)&input, 0)), HV_SUCCESS);
	CHECK_EQUAL(enable_vp(0), HV_SUCCESS);
	secure_call(BOOT, 0, 0);
}

static void boot_ap(void)
{
	while (signals[own_vp()] != BOOT_TOKEN)
		pause();
	secure_call(BOOT, 0, 0);
	check_mbec();
}

static void load_aps(void)
{
	CHECK_EQUAL(secure_call(ENABLE_APS, 0, 0), 0);
	CHECK_EQUAL(secure_call(BOOT_APS, (uint64_t)signals / PAGE_SIZE, 0), 0);
	for (unsigned vp = 1; vp < vp_count; vp++)
		run_on(vp, boot_ap);
	check_mbec();
}

static void lock(void)
{
	CHECK_EQUAL(secure_call(LOCK_REGISTERS, 0, 0), 0);
}

static void guard_memory(void)
{
	text[0] = 0xc3;
	ranges[0] = (struct range){(uint64_t)text / PAGE_SIZE, 1, HV_R | HV_X};
	ranges[1] = (struct range){(uint64_t)rodata / PAGE_SIZE, 1, HV_R};
	ranges[2] = (struct range){(uint64_t)data / PAGE_SIZE, 1, HV_R | HV_W};
	CHECK_EQUAL(secure_call(PROTECT_MEMORY, (uint64_t)ranges / PAGE_SIZE, 3), 0);
	CHECK_EQUAL(secure_call(END_OF_BOOT, 0, 0), 0);
	CHECK_EQUAL(secure_call(PROTECT_MEMORY, (uint64_t)ranges / PAGE_SIZE, 3), HV_ACCESS_DENIED);
}

static struct {
	uint32_t msr;
	uint64_t value;
} write;

static void do_write(void *arg)
{
	(void)arg;
	wrmsr(write.msr, write.value);
}

/* Each locked MSR: what it has may be written again, nothing else. */
static void try_msrs(void)
{
	for (unsigned i = 0; i < LOCKED && locked[i].msr; i++) {
		unsigned before = msr_intercepts;
		uint64_t value = rdmsr(locked[i].msr);

		write.msr = locked[i].msr;
		write.value = value;
		CHECK_EQUAL(trap_try(do_write, NULL, NULL), -1);
		write.value = value ^ 1;
		CHECK_EQUAL(trap_try(do_write, NULL, NULL), TRAP_GP);
		CHECK_EQUAL(msr_intercepts, before + 2);
		CHECK_EQUAL(rdmsr(locked[i].msr), value);
	}
}

static void read_at(void *at)
{
	*(volatile uint8_t *)at;
}

static void write_at(void *at)
{
	*(volatile uint8_t *)at = 1;
}

static void run_at(void *at)
{
	((void (*)(void))at)();
}

static void try_memory(void)
{
	static const struct {
		void (*fn)(void *);
		uint8_t *at;
		int trap;
	} rows[] = {
		{run_at, text, -1},	    {read_at, text, -1},	 {write_at, text, TRAP_GP},
		{read_at, rodata, -1},	    {write_at, rodata, TRAP_GP}, {run_at, rodata, TRAP_GP},
		{read_at, data, -1},	    {write_at, data, -1},	 {run_at, data, TRAP_GP},
		{read_at, secret, TRAP_GP}, {write_at, secret, TRAP_GP},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned before = memory_intercepts;

		CHECK_EQUAL(trap_try(rows[i].fn, rows[i].at, NULL), rows[i].trap);
		CHECK_EQUAL(memory_intercepts, before + (rows[i].trap >= 0));
	}
	CHECK_EQUAL(text[0], 0xc3);
}

/* All address spaces of all processors, in the forms with sets (SPARSE_4K, one bank). */
static void flush(void)
{
	uint64_t *in = input.flush;

	memset(in, 0, sizeof(input.flush));
	in[1] = 2; /* HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES */
	in[3] = 1;
	in[4] = (UINT64_C(1) << vp_count) - 1;
	CHECK_EQUAL(HV_STATUS(hv_call(HV_FLUSH_SPACE_EX | HV_VARIABLE(1), (uint64_t)in, 0)),
		    HV_SUCCESS);
	in[5] = (uint64_t)data;
	CHECK_EQUAL(
		HV_STATUS(hv_call(HV_FLUSH_LIST_EX | HV_VARIABLE(1) | HV_REPS(1), (uint64_t)in, 0)),
		HV_SUCCESS);
}

int guest_main(void)
{
	begin();
	load();
	load_aps();
	for (unsigned vp = 0; vp < vp_count; vp++)
		run_on(vp, lock);
	guard_memory();
	for (unsigned vp = 0; vp < vp_count; vp++) {
		run_on(vp, try_msrs);
		run_on(vp, try_memory);
		run_on(vp, flush);
	}
	print("%u processors, %u MSR intercepts, %u memory intercepts\n", vp_count, msr_intercepts,
	      memory_intercepts);
	return 0;
}
