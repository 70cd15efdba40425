/* SPDX-License-Identifier: MIT */
/* What the files of the local APIC share with one another only. */
#ifndef VSM_LIB_APIC_LAPIC_PRIVATE_H
#define VSM_LIB_APIC_LAPIC_PRIVATE_H

#include "apic/lapic.h"

#define LVT_VECTOR	     UINT32_C(0xff)
#define LVT_MODE	     UINT32_C(0x700)
#define LVT_STATUS	     UINT32_C(0x1000) /* delivery status: never pending, 0 */
#define LVT_POLARITY	     UINT32_C(0x2000)
#define LVT_REMOTE_IRR	     UINT32_C(0x4000)
#define LVT_LEVEL	     UINT32_C(0x8000)
#define LVT_TIMER_MODE	     UINT32_C(0x60000)

#define SPIV_WRITABLE	     UINT32_C(0x3ff)

#define LDR_WRITABLE	     UINT32_C(0xff000000)
#define DFR_WRITABLE	     UINT32_C(0xf0000000)
#define DFR_ONES	     UINT32_C(0x0fffffff)

#define ICR_WRITABLE	     UINT32_C(0x000ccfff)
#define ICR_STATUS	     UINT32_C(0x1000) /* read-only; KVM lets it be in x2APIC mode */

#define ICR_DEST_WRITABLE    UINT32_C(0xff000000) /* in xAPIC mode */

#define DIVIDE_WRITABLE	     UINT32_C(0xb)

#define ESR_SEND_VECTOR	     UINT32_C(0x20)
#define ESR_RECEIVE_VECTOR   UINT32_C(0x40)
#define ESR_REGISTER_ADDRESS UINT32_C(0x80)

/* Vectors below this are the processor's exceptions. */
#define FIRST_VECTOR 16

/* The bits of each LVT entry that a guest can write. */
extern const uint32_t lvt_writable[LAPIC_LVT_COUNT];

/* All registers but IA32_APIC_BASE and the id take their reset values. */
void lapic_reset_registers(struct lapic *l, uint32_t spiv);

/* Logs an error; the first since the guest last wrote the ESR raises the error LVT entry. */
void lapic_error(struct lapic *l, uint32_t esr_bit);

/* Writes the timer's LVT entry; `value` is masked already. */
void timer_write_lvt(struct lapic *l, uint32_t value, const struct lapic_clock *clock);
void timer_write_initial(struct lapic *l, uint32_t value, const struct lapic_clock *clock);
void timer_write_divide(struct lapic *l, uint32_t value, const struct lapic_clock *clock);
void timer_write_deadline(struct lapic *l, uint64_t value, const struct lapic_clock *clock);
uint64_t timer_read_deadline(const struct lapic *l, const struct lapic_clock *clock);
uint32_t timer_current_count(const struct lapic *l, const struct lapic_clock *clock);
void timer_stop(struct lapic *l);
/* Whether the timer's registers are such as this APIC leaves them. */
bool timer_valid(const struct lapic *l);

/* IA32_APIC_BASE: whether it names a mode, and has no reserved bit of this guest. */
bool base_valid(const struct lapic *l, uint64_t base);

/* The logical id in x2APIC mode; it follows from the APIC id. */
static inline uint32_t x2apic_ldr(const struct lapic *l)
{
	return (l->id >> 4) << 16 | UINT32_C(1) << (l->id & 0xf);
}

/* Sends what ICR says: to effects->ipi, or to `l` itself. */
void icr_send(struct lapic *l, struct lapic_effects *effects);

#endif
