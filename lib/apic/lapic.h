/* SPDX-License-Identifier: MIT */
/*
 * A local APIC in user space, as a pure state machine: no kernel calls, locks or clock of its own.
 *
 * KVM cannot tell user space of an interrupt for a vCPU that does not run, so the vCPU of every VTL
 * above 0 has no in-kernel irqchip, and its APIC is one of these. The caller serialises all calls
 * on one APIC, routes the IPIs that writes produce, and hands vectors to the vCPU with
 * KVM_INTERRUPT: lapic_highest() says whether one can be delivered, lapic_ack() takes it. The
 * rules are those of the Intel SDM, volume 3, chapter "Advanced Programmable Interrupt Controller";
 * where it leaves a choice, the function says what is done.
 *
 * struct lapic has no pointers: copying it saves and restores the APIC. A copy that comes from
 * outside is checked with lapic_valid() before it is used. Its times are in the caller's clock.
 */
#ifndef VSM_LIB_APIC_LAPIC_H
#define VSM_LIB_APIC_LAPIC_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "memory/gpa.h"

#define LAPIC_MSR_BASE	       UINT32_C(0x1b)  /* IA32_APIC_BASE */
#define LAPIC_MSR_TSC_DEADLINE UINT32_C(0x6e0) /* IA32_TSC_DEADLINE */
#define LAPIC_MSR_X2APIC_FIRST UINT32_C(0x800)
#define LAPIC_MSR_X2APIC_LAST  UINT32_C(0x8ff)

#define LAPIC_BASE_BSP	       (UINT64_C(1) << 8)
#define LAPIC_BASE_X2APIC      (UINT64_C(1) << 10)
#define LAPIC_BASE_ENABLE      (UINT64_C(1) << 11)
#define LAPIC_BASE_ADDRESS     UINT64_C(0x000ffffffffff000)
#define LAPIC_BASE_DEFAULT     UINT64_C(0xfee00000)

/* The frequency the initial and current count registers count at before division: 1 tick a ns. */
#define LAPIC_TIMER_HZ UINT64_C(1000000000)
/* A periodic timer never fires more often than this, or a guest could keep the host busy with it
 * (KVM has the same limit: min_timer_period_us). */
#define LAPIC_TIMER_MIN_PERIOD UINT64_C(200000)
#define LAPIC_TIMER_NONE       UINT64_MAX

/* Destination that every APIC matches, physical or logical. */
#define LAPIC_BROADCAST UINT32_MAX

/* Bits of SPIV, and of every LVT entry. */
#define LAPIC_SPIV_ENABLE UINT32_C(0x100)
#define LAPIC_LVT_MASKED  UINT32_C(0x10000)

enum lapic_mode { /* delivery modes, as in the ICR and the LVT */
	LAPIC_FIXED = 0,
	LAPIC_LOWEST = 1,
	LAPIC_SMI = 2,
	LAPIC_NMI = 4,
	LAPIC_INIT = 5,
	LAPIC_STARTUP = 6,
	LAPIC_EXTINT = 7,
};

enum lapic_shorthand {
	LAPIC_DEST_FIELD = 0,
	LAPIC_DEST_SELF = 1,
	LAPIC_DEST_ALL = 2,
	LAPIC_DEST_OTHERS = 3,
};

enum lapic_lvt { /* in the order of their registers, 0x320 and up */
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_PERF,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_LVT_COUNT,
};

enum lapic_event { /* what waits for the vCPU besides vectors: struct lapic's `events` */
	LAPIC_EVENT_NMI = 1 << 0,
	LAPIC_EVENT_SMI = 1 << 1,
	LAPIC_EVENT_INIT = 1 << 2,
	LAPIC_EVENT_STARTUP = 1 << 3, /* sipi_vector is valid */
};

/* An interrupt message: an IPI, an MSI or a line of an I/O APIC. */
struct lapic_ipi {
	bool valid;   /* there is one */
	bool logical; /* dest is logical, not an APIC id */
	bool level;   /* level-triggered; never in an IPI from lapic_*_write() */
	uint8_t vector;
	uint8_t mode;	   /* enum lapic_mode */
	uint8_t shorthand; /* enum lapic_shorthand */
	uint32_t dest;	   /* LAPIC_BROADCAST also for an xAPIC's or MSI's 8-bit 0xff */
};

/* What a register write asks of the caller. Only `valid` of the IPI means anything when false. */
struct lapic_effects {
	struct lapic_ipi ipi; /* to route; a self IPI is none, it is delivered already */
	int eoi_vector; /* level-triggered vector whose EOI the I/O APICs wait for; -1: none */
	bool eoi;	/* it was a write to EOI: the SynIC looks for messages that wait */
};

/* One instant, in both clocks. */
struct lapic_clock {
	uint64_t now_ns;  /* any monotonic clock, always the same one */
	uint64_t now_tsc; /* the guest's TSC then */
	uint64_t tsc_khz; /* 0: unknown, TSC deadlines never expire before they are in the past */
};

struct lapic {
	uint64_t base;	     /* IA32_APIC_BASE */
	uint32_t id;	     /* initial APIC id; does not change */
	uint8_t maxphyaddr;  /* address bits of the guest; 0: 52, the most there can be */
	bool no_x2apic;	     /* its CPUID does not offer the mode */
	uint32_t reset_spiv; /* what SPIV starts as */

	uint8_t tpr, sipi_vector;
	uint8_t events;	   /* enum lapic_event */
	uint32_t ldr, dfr; /* as written in xAPIC mode; the LDR of x2APIC mode follows from id */
	uint32_t spiv;
	uint32_t esr, esr_new;	/* as last latched; errors since */
	uint32_t icr, icr_dest; /* as written: in xAPIC mode the destination is bits 31:24 */
	uint32_t lvt[LAPIC_LVT_COUNT];
	uint32_t isr[8], tmr[8], irr[8];
	uint32_t auto_eoi[8]; /* vectors in the IRR that skip the ISR */

	uint32_t initial_count, divide_config;
	uint64_t expiry_ns;    /* of the count, LAPIC_TIMER_NONE: stopped */
	uint64_t tsc_deadline; /* 0: none */
};

/* ---- lapic.c: state, priority, delivery ---- */

/*
 * Power-on state, in xAPIC mode. software_enabled: SPIV starts as 0x1ff, now and after every INIT,
 * as Hyper-V has it for a VTL above 0, whose guests send to it without writing SPIV; else 0xff.
 * *l must have been zeroed or reset before: maxphyaddr and no_x2apic
 * stay.
 */
void lapic_reset(struct lapic *l, uint32_t id, bool bsp, bool software_enabled);

/*
 * What INIT does: as reset, but IA32_APIC_BASE (hence the mode) stays, and so does a waiting SIPI:
 * it came after the INIT.
 */
void lapic_reset_init(struct lapic *l);

/* Whether an image from outside keeps every rule that the functions here rely on or ensure. */
bool lapic_valid(const struct lapic *l);

static inline bool lapic_enabled(const struct lapic *l)
{
	return l->base & LAPIC_BASE_ENABLE;
}

static inline bool lapic_x2apic(const struct lapic *l)
{
	return l->base & LAPIC_BASE_X2APIC;
}

static inline bool lapic_software_enabled(const struct lapic *l)
{
	return lapic_enabled(l) && (l->spiv & LAPIC_SPIV_ENABLE);
}

/*
 * An edge-triggered fixed interrupt for this APIC, as from the SynIC. auto_eoi: acknowledging it
 * ends it too. True: it now waits in the IRR. False: the APIC is disabled, or the vector is below
 * 16, which the ESR then tells.
 */
bool lapic_accept(struct lapic *l, uint8_t vector, bool auto_eoi);

/*
 * Accepts a message that lapic_matches() this APIC; its destination is not looked at. Fixed and
 * lowest-priority vectors go to the IRR; NMI, SMI, INIT and SIPI wait in `events`, INIT taking the
 * place of an earlier SIPI. True: there is something new for the vCPU. False: dropped, as a vector
 * is by a software-disabled APIC, anything by a disabled one, and modes 3 and 7 by all.
 */
bool lapic_deliver(struct lapic *l, const struct lapic_ipi *ipi);

/*
 * A local source raises its LVT entry. False: masked, or dropped as above. ExtINT delivers nothing
 * here: see lapic_accepts_pic(). A performance counter's entry masks itself as it fires.
 */
bool lapic_raise(struct lapic *l, enum lapic_lvt lvt);

/* What the entry asks for when it is raised. */
static inline enum lapic_mode lapic_lvt_mode(const struct lapic *l, enum lapic_lvt lvt)
{
	return (enum lapic_mode)(l->lvt[lvt] >> 8 & 7);
}

/* Whether an 8259's INTR reaches the vCPU: LINT0 unmasked in ExtINT mode, or the APIC disabled. */
bool lapic_accepts_pic(const struct lapic *l);

/* Takes an event out of those that wait. False: it does not wait. */
bool lapic_take(struct lapic *l, enum lapic_event event);

/* These two are asked at every exit, and nearly always 0: without branches. */
static inline uint64_t lapic_irr_any(const struct lapic *l)
{
	uint64_t any = 0, two;

	for (size_t i = 0; i < sizeof(l->irr); i += sizeof(two)) {
		memcpy(&two, (const uint8_t *)l->irr + i, sizeof(two));
		any |= two;
	}
	return any;
}

/* 0: nothing waits for the vCPU, and no timer runs. */
static inline uint64_t lapic_busy(const struct lapic *l)
{
	return lapic_irr_any(l) | l->tsc_deadline | (l->expiry_ns ^ LAPIC_TIMER_NONE) | l->events;
}

/* The vector that can be delivered now: the highest of the IRR if its class is above PPR's; -1. */
int lapic_highest(const struct lapic *l);

/*
 * The vCPU takes lapic_highest(): from IRR to ISR, or just out of the IRR if it is auto-EOI.
 * Returns the vector; -1: there is none, and nothing changed. There is no spurious vector, as
 * looking and taking are one step.
 */
int lapic_ack(struct lapic *l);

/* Whether any vector waits in the IRR, deliverable or held back by priority. */
bool lapic_irr_pending(const struct lapic *l);

/*
 * Ends the highest vector in service. Returns it if it was level-triggered, so that the caller
 * tells the I/O APICs; -1: edge-triggered, or none in service.
 */
int lapic_eoi(struct lapic *l);

/* TPR, also as CR8. lapic_set_cr8() looks at bits 3:0 only. */
static inline uint8_t lapic_cr8(const struct lapic *l)
{
	return l->tpr >> 4;
}

static inline void lapic_set_tpr(struct lapic *l, uint8_t tpr)
{
	l->tpr = tpr;
}

static inline void lapic_set_cr8(struct lapic *l, uint64_t cr8)
{
	l->tpr = (uint8_t)((cr8 & 0xf) << 4);
}

/* The processor priority and the arbitration priority. */
uint8_t lapic_ppr(const struct lapic *l);
uint8_t lapic_apr(const struct lapic *l);

/* ---- lapic_register.c: registers ---- */

/*
 * A guest's access to [gpa, gpa + size). -ENOENT: not in this APIC's page, or the APIC is disabled
 * or in x2APIC mode, where the page is memory like any other; *data is untouched.
 *
 * A read of 1, 2 or 4 bytes within the first 4 bytes of a register gives those, any other gives
 * zeros; a write of other than 4 bytes at a register's start is ignored: the SDM leaves both
 * undefined. Reserved registers read as zero and set "illegal register address" in the ESR. The
 * APIC id cannot be written. effects is set in any case, and data has room for size bytes.
 */
int lapic_mmio_read(struct lapic *l, gpa_t gpa, unsigned size, const struct lapic_clock *clock,
		    void *data);
int lapic_mmio_write(struct lapic *l, gpa_t gpa, unsigned size, const void *data,
		     const struct lapic_clock *clock, struct lapic_effects *effects);

/*
 * An access to an MSR of the APIC: IA32_APIC_BASE, IA32_TSC_DEADLINE, 0x800-0x8ff. -ENOENT: another
 * MSR. -EINVAL: #GP: a reserved bit, a register that is not there or not readable or writable, an
 * illegal change of mode, and 0x800-0x8ff outside x2APIC mode; nothing changed. Disabling the APIC
 * loses its registers: it comes back software-disabled.
 */
int lapic_msr_read(struct lapic *l, uint32_t index, const struct lapic_clock *clock,
		   uint64_t *value);
int lapic_msr_write(struct lapic *l, uint32_t index, uint64_t value,
		    const struct lapic_clock *clock, struct lapic_effects *effects);

/* ---- lapic_timer.c ---- */

/*
 * When the timer next raises its LVT entry, in clock's ns: never before now_ns. LAPIC_TIMER_NONE:
 * not armed, or masked. Ask again after every write and every change of the guest's TSC.
 */
uint64_t lapic_timer_deadline(const struct lapic *l, const struct lapic_clock *clock);

/*
 * If the timer is due: raises its LVT entry once, however many periods have passed, and goes on to
 * the first expiry after now_ns, in step with the first. True: there is a new interrupt.
 */
bool lapic_timer_expire(struct lapic *l, const struct lapic_clock *clock);

/* ---- lapic_route.c: sending, and who a message is for ---- */

/*
 * The ICR as one 64-bit value of the current mode's layout (destination in bits 63:56 or 63:32), as
 * HV_X64_MSR_ICR has it. -EINVAL: #GP: reserved bits in x2APIC mode, or the APIC is disabled.
 */
int lapic_icr_read(const struct lapic *l, uint64_t *value);
int lapic_icr_write(struct lapic *l, uint64_t value, struct lapic_effects *effects);

/* Whether a message is for `target`. is_source: `target` is the APIC that sent it. */
bool lapic_matches(const struct lapic *target, const struct lapic_ipi *ipi, bool is_source);

/*
 * Lowest-priority arbitration, one candidate at a time: the better of the two to deliver to. Pass
 * NULL as the best so far for the first. Candidates that are software-disabled do not take part;
 * among equals the first wins. The caller delivers to the last result, if not NULL.
 */
struct lapic *lapic_arbitrate(struct lapic *best, struct lapic *candidate);

#endif
