/* SPDX-License-Identifier: MIT */
/* The guest's access to the local APIC: one table of registers, reached as memory or as MSRs. */
#include <errno.h>
#include <string.h>
#include "apic/lapic_private.h"

#define PAGE_READ  0x01 /* in xAPIC mode */
#define PAGE_WRITE 0x02
#define MSR_READ   0x04 /* in x2APIC mode */
#define MSR_WRITE  0x08
#define READ	   (PAGE_READ | MSR_READ)
#define WRITE	   (PAGE_WRITE | MSR_WRITE)

#define VERSION	   (UINT32_C(0x14) | (LAPIC_LVT_COUNT - 1) << 16)

/* By number: offset / 16 in the page, MSR - 0x800. */
enum {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_REMOTE_READ = 0x0c,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SPIV = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_DEST = 0x31,
	REG_LVT = 0x32,
	REG_INITIAL_COUNT = 0x38,
	REG_CURRENT_COUNT = 0x39,
	REG_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
	REG_COUNT = 0x40,
};

/* One access that has been checked. */
struct access {
	struct lapic *l;
	unsigned reg;
	uint32_t value; /* to write */
	const struct lapic_clock *clock;
	struct lapic_effects *effects;
};

struct reg {
	uint8_t access;	   /* 0: reserved */
	uint32_t writable; /* other bits never reach write() */
	uint32_t ignored;  /* read-only bits: writing them is no #GP */
	uint32_t (*read)(const struct access *a);
	void (*write)(const struct access *a);
};

static uint32_t read_id(const struct access *a)
{
	return lapic_x2apic(a->l) ? a->l->id : a->l->id << 24;
}

static uint32_t read_version(const struct access *a)
{
	(void)a;
	return VERSION;
}

static uint32_t read_tpr(const struct access *a)
{
	return a->l->tpr;
}

static void write_tpr(const struct access *a)
{
	lapic_set_tpr(a->l, (uint8_t)a->value);
}

static uint32_t read_apr(const struct access *a)
{
	return lapic_apr(a->l);
}

static uint32_t read_ppr(const struct access *a)
{
	return lapic_ppr(a->l);
}

static void write_eoi(const struct access *a)
{
	a->effects->eoi_vector = lapic_eoi(a->l);
	a->effects->eoi = true;
}

/* No remote reads: there is never any data. */
static uint32_t read_zero(const struct access *a)
{
	(void)a;
	return 0;
}

static uint32_t read_ldr(const struct access *a)
{
	return lapic_x2apic(a->l) ? x2apic_ldr(a->l) : a->l->ldr;
}

static void write_ldr(const struct access *a)
{
	a->l->ldr = a->value;
}

static uint32_t read_dfr(const struct access *a)
{
	return a->l->dfr;
}

static void write_dfr(const struct access *a)
{
	a->l->dfr = a->value | DFR_ONES;
}

static uint32_t read_spiv(const struct access *a)
{
	return a->l->spiv;
}

/*
 * Software disable masks every LVT entry, and they stay so (SDM, "Local APIC State After It Has
 * Been Software Disabled").
 */
static void write_spiv(const struct access *a)
{
	lapic_timer_expire(a->l, a->clock);
	a->l->spiv = a->value;
	if (lapic_software_enabled(a->l))
		return;
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		a->l->lvt[i] |= LAPIC_LVT_MASKED;
}

static uint32_t read_isr(const struct access *a)
{
	return a->l->isr[a->reg - REG_ISR];
}

static uint32_t read_tmr(const struct access *a)
{
	return a->l->tmr[a->reg - REG_TMR];
}

static uint32_t read_irr(const struct access *a)
{
	return a->l->irr[a->reg - REG_IRR];
}

static uint32_t read_esr(const struct access *a)
{
	return a->l->esr;
}

/* Any write latches what was detected since the last. */
static void write_esr(const struct access *a)
{
	a->l->esr = a->l->esr_new;
	a->l->esr_new = 0;
}

static uint32_t read_icr(const struct access *a)
{
	return a->l->icr;
}

static void write_icr(const struct access *a)
{
	a->l->icr = a->value;
	icr_send(a->l, a->effects);
}

static uint32_t read_icr_dest(const struct access *a)
{
	return a->l->icr_dest;
}

static void write_icr_dest(const struct access *a)
{
	a->l->icr_dest = a->value;
}

static uint32_t read_lvt(const struct access *a)
{
	return a->l->lvt[a->reg - REG_LVT];
}

/* A level-triggered LINT0 that is being served stays so unless it becomes another interrupt. */
static void write_lvt(const struct access *a)
{
	uint32_t *entry = &a->l->lvt[a->reg - REG_LVT];
	uint32_t value = a->value;
	bool same = !((value ^ *entry) & (LVT_VECTOR | LVT_MODE | LVT_LEVEL));

	if (!lapic_software_enabled(a->l))
		value |= LAPIC_LVT_MASKED;
	if (a->reg == REG_LVT + LAPIC_LVT_TIMER)
		timer_write_lvt(a->l, value, a->clock);
	else
		*entry = value | (same ? *entry & LVT_REMOTE_IRR : 0);
}

static uint32_t read_initial_count(const struct access *a)
{
	return a->l->initial_count;
}

static void write_initial_count(const struct access *a)
{
	timer_write_initial(a->l, a->value, a->clock);
}

static uint32_t read_current_count(const struct access *a)
{
	return timer_current_count(a->l, a->clock);
}

static uint32_t read_divide(const struct access *a)
{
	return a->l->divide_config;
}

static void write_divide(const struct access *a)
{
	timer_write_divide(a->l, a->value, a->clock);
}

/* As an ICR write of a fixed interrupt with the self shorthand, but the ICR stays as it is. */
static void write_self_ipi(const struct access *a)
{
	struct lapic_ipi ipi = {.valid = true, .vector = (uint8_t)a->value};

	if (a->value < FIRST_VECTOR)
		lapic_error(a->l, ESR_SEND_VECTOR);
	else
		lapic_deliver(a->l, &ipi);
}

#define LVT_REG(ro)                                                                           \
	{                                                                                     \
		.access = READ | WRITE, .ignored = (ro), .read = read_lvt, .write = write_lvt \
	}

/* SDM, "Local APIC Register Address Map" and "x2APIC Register Address Space". */
static const struct reg regs[REG_COUNT] = {
	[REG_ID] = {.access = READ, .read = read_id},
	[REG_VERSION] = {.access = READ, .read = read_version},
	[REG_TPR] = {READ | WRITE, 0xff, 0, read_tpr, write_tpr},
	[REG_APR] = {.access = PAGE_READ, .read = read_apr},
	[REG_PPR] = {.access = READ, .read = read_ppr},
	[REG_EOI] = {.access = WRITE, .write = write_eoi},
	[REG_REMOTE_READ] = {.access = PAGE_READ, .read = read_zero},
	[REG_LDR] = {READ | PAGE_WRITE, LDR_WRITABLE, 0, read_ldr, write_ldr},
	[REG_DFR] = {PAGE_READ | PAGE_WRITE, DFR_WRITABLE, 0, read_dfr, write_dfr},
	[REG_SPIV] = {READ | WRITE, SPIV_WRITABLE, 0, read_spiv, write_spiv},
	[REG_ISR... REG_ISR + 7] = {.access = READ, .read = read_isr},
	[REG_TMR... REG_TMR + 7] = {.access = READ, .read = read_tmr},
	[REG_IRR... REG_IRR + 7] = {.access = READ, .read = read_irr},
	[REG_ESR] = {.access = READ | WRITE, .read = read_esr, .write = write_esr},
	/* In x2APIC mode the ICR is one register of 64 bits: see lapic_msr_*(). */
	[REG_ICR] = {PAGE_READ | PAGE_WRITE, ICR_WRITABLE, 0, read_icr, write_icr},
	[REG_ICR_DEST] = {PAGE_READ | PAGE_WRITE, ICR_DEST_WRITABLE, 0, read_icr_dest,
			  write_icr_dest},
	[REG_LVT + LAPIC_LVT_TIMER] = LVT_REG(LVT_STATUS),
	[REG_LVT + LAPIC_LVT_THERMAL] = LVT_REG(LVT_STATUS),
	[REG_LVT + LAPIC_LVT_PERF] = LVT_REG(LVT_STATUS),
	[REG_LVT + LAPIC_LVT_LINT0] = LVT_REG(LVT_STATUS | LVT_REMOTE_IRR),
	[REG_LVT + LAPIC_LVT_LINT1] = LVT_REG(LVT_STATUS | LVT_REMOTE_IRR),
	[REG_LVT + LAPIC_LVT_ERROR] = LVT_REG(LVT_STATUS),
	[REG_INITIAL_COUNT] = {READ | WRITE, UINT32_MAX, 0, read_initial_count,
			       write_initial_count},
	[REG_CURRENT_COUNT] = {.access = READ, .read = read_current_count},
	[REG_DIVIDE] = {READ | WRITE, DIVIDE_WRITABLE, 0, read_divide, write_divide},
	[REG_SELF_IPI] = {MSR_WRITE, 0xff, 0, read_zero, write_self_ipi},
};

/* What of the register a guest can write; the LVT has a table of its own. */
static uint32_t writable(unsigned reg)
{
	if (reg >= REG_LVT && reg < REG_LVT + LAPIC_LVT_COUNT)
		return lvt_writable[reg - REG_LVT];
	return regs[reg].writable;
}

/* ---- the page, in xAPIC mode ---- */

/* -ENOENT: not the page; else the register's number, -EFAULT: a reserved one, as the ESR now has */
static int page_register(struct lapic *l, gpa_t gpa)
{
	unsigned reg = (unsigned)(gpa_offset(gpa) >> 4);

	if (!lapic_enabled(l) || lapic_x2apic(l))
		return -ENOENT;
	if (gpa.addr - gpa_offset(gpa) != (l->base & LAPIC_BASE_ADDRESS))
		return -ENOENT;
	if (reg < REG_COUNT && regs[reg].access & (PAGE_READ | PAGE_WRITE))
		return (int)reg;
	lapic_error(l, ESR_REGISTER_ADDRESS);
	return -EFAULT;
}

int lapic_mmio_read(struct lapic *l, gpa_t gpa, unsigned size, const struct lapic_clock *clock,
		    void *data)
{
	struct access a = {.l = l, .clock = clock};
	int reg = page_register(l, gpa);
	unsigned byte = gpa.addr & 0xf;
	uint32_t value;

	if (reg == -ENOENT)
		return reg;
	memset(data, 0, size);
	if (reg < 0 || !(regs[reg].access & PAGE_READ))
		return 0;
	if ((size != 1 && size != 2 && size != 4) || byte + size > 4)
		return 0;
	a.reg = (unsigned)reg;
	value = regs[reg].read(&a) >> byte * 8;
	memcpy(data, &value, size);
	return 0;
}

int lapic_mmio_write(struct lapic *l, gpa_t gpa, unsigned size, const void *data,
		     const struct lapic_clock *clock, struct lapic_effects *effects)
{
	struct access a = {.l = l, .clock = clock, .effects = effects};
	int reg = page_register(l, gpa);

	*effects = (struct lapic_effects){.eoi_vector = -1};
	if (reg == -ENOENT)
		return reg;
	if (reg < 0 || !(regs[reg].access & PAGE_WRITE) || size != 4 || gpa.addr & 0xf)
		return 0;
	memcpy(&a.value, data, sizeof(a.value));
	a.reg = (unsigned)reg;
	a.value &= writable(a.reg);
	regs[reg].write(&a);
	return 0;
}

/* ---- MSRs ---- */

/* Bits 11:10 of IA32_APIC_BASE: the modes, and a bit for each that may follow. */
enum {
	MODE_DISABLED,
	MODE_INVALID,
	MODE_XAPIC,
	MODE_X2APIC
};

static const uint8_t may_follow[4] = {
	[MODE_DISABLED] = 1 << MODE_DISABLED | 1 << MODE_XAPIC,
	[MODE_XAPIC] = 1 << MODE_XAPIC | 1 << MODE_DISABLED | 1 << MODE_X2APIC,
	[MODE_X2APIC] = 1 << MODE_X2APIC | 1 << MODE_DISABLED,
};

static unsigned base_mode(uint64_t base)
{
	return base >> 10 & 3;
}

bool base_valid(const struct lapic *l, uint64_t base)
{
	unsigned bits = l->maxphyaddr && l->maxphyaddr < 52 ? l->maxphyaddr : 52;
	uint64_t address = LAPIC_BASE_ADDRESS & ((UINT64_C(1) << bits) - 1);

	if (base & ~(address | LAPIC_BASE_BSP | LAPIC_BASE_X2APIC | LAPIC_BASE_ENABLE))
		return false;
	if (base_mode(base) == MODE_X2APIC)
		return !l->no_x2apic;
	return base_mode(base) != MODE_INVALID;
}

/* SDM, "x2APIC State Transitions": disabling loses all but the id. */
static int write_base(struct lapic *l, uint64_t value)
{
	unsigned to = base_mode(value);

	if (!base_valid(l, value) || !(may_follow[base_mode(l->base)] >> to & 1))
		return -EINVAL;
	if (to == MODE_DISABLED)
		lapic_reset_registers(l, 0xff);
	if (to == MODE_X2APIC && !lapic_x2apic(l)) {
		l->icr_dest = 0;
		l->ldr = 0;
		l->dfr = UINT32_MAX;
	}
	l->base = value;
	return 0;
}

/* The number of the register if x2APIC mode has it with this kind of access; -EINVAL. */
static int msr_register(const struct lapic *l, uint32_t index, uint8_t access)
{
	uint32_t reg = index - LAPIC_MSR_X2APIC_FIRST;

	if (!lapic_x2apic(l) || reg >= REG_COUNT || !(regs[reg].access & access))
		return -EINVAL;
	return (int)reg;
}

static bool is_x2apic_msr(uint32_t index)
{
	return index >= LAPIC_MSR_X2APIC_FIRST && index <= LAPIC_MSR_X2APIC_LAST;
}

int lapic_msr_read(struct lapic *l, uint32_t index, const struct lapic_clock *clock,
		   uint64_t *value)
{
	struct access a = {.l = l, .clock = clock};
	int reg;

	if (index == LAPIC_MSR_BASE) {
		*value = l->base;
		return 0;
	}
	if (index == LAPIC_MSR_TSC_DEADLINE) {
		*value = timer_read_deadline(l, clock);
		return 0;
	}
	if (!is_x2apic_msr(index))
		return -ENOENT;
	if (lapic_x2apic(l) && index == LAPIC_MSR_X2APIC_FIRST + REG_ICR)
		return lapic_icr_read(l, value);
	reg = msr_register(l, index, MSR_READ);
	if (reg < 0)
		return reg;
	a.reg = (unsigned)reg;
	*value = regs[reg].read(&a);
	return 0;
}

static int write_x2apic(const struct access *in, uint32_t index, uint64_t value)
{
	struct access a = *in;
	int reg;

	if (lapic_x2apic(a.l) && index == LAPIC_MSR_X2APIC_FIRST + REG_ICR)
		return lapic_icr_write(a.l, value, a.effects);
	reg = msr_register(a.l, index, MSR_WRITE);
	if (reg < 0)
		return reg;
	a.reg = (unsigned)reg;
	if (value & ~(uint64_t)(writable(a.reg) | regs[reg].ignored))
		return -EINVAL;
	a.value = (uint32_t)value & writable(a.reg);
	regs[reg].write(&a);
	return 0;
}

int lapic_msr_write(struct lapic *l, uint32_t index, uint64_t value,
		    const struct lapic_clock *clock, struct lapic_effects *effects)
{
	struct access a = {.l = l, .clock = clock, .effects = effects};

	*effects = (struct lapic_effects){.eoi_vector = -1};
	if (index == LAPIC_MSR_BASE)
		return write_base(l, value);
	if (index == LAPIC_MSR_TSC_DEADLINE) {
		timer_write_deadline(l, value, clock);
		return 0;
	}
	return is_x2apic_msr(index) ? write_x2apic(&a, index, value) : -ENOENT;
}
