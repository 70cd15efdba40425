// SPDX-License-Identifier: MIT
/* The fake KVM: a guest's memory accesses, by the processor and by KVM's emulator. */
#include "fake.h"

#define PTE_PRESENT  (1u << 0)
#define PTE_WRITABLE (1u << 1)
#define PTE_USER     (1u << 2)
#define PTE_ACCESSED (1u << 5)
#define PTE_DIRTY    (1u << 6)
#define PTE_PAGE     (1u << 7) /* a large page */
#define PTE_NX	     (UINT64_C(1) << 63)
#define PTE_ADDRESS  UINT64_C(0x000ffffffffff000)
#define CR0_WP	     (1u << 16)

#define PF_PRESENT   (1u << 0)
#define PF_WRITE     (1u << 1)
#define PF_USER	     (1u << 2)
#define PF_FETCH     (1u << 4)

enum access {
	ACCESS_READ,
	ACCESS_WRITE,
	ACCESS_FETCH
};

/* --- PAE's page-directory-pointer entries --- */

#define PDPTE_RESERVED (PTE_NX | 0x1e6)

bool access_pae_paging(const struct kvm_sregs *sregs)
{
	return sregs->cr0 & CR0_PG && sregs->cr4 & CR4_PAE && !(sregs->efer & EFER_LMA);
}

void access_load_pdptes(struct vcpu *v)
{
	uint64_t gpa = v->sregs.cr3 & 0xffffffe0, entries[4];
	struct slot_page page = slot_page(v->f, v->vm, gpa);

	if (!page.present || page.prot < KVM_MAP_READ ||
	    !map_copy(v->f, page.host, entries, sizeof(entries), false))
		return;
	for (unsigned i = 0; i < 4; i++)
		if (entries[i] & PTE_PRESENT && entries[i] & PDPTE_RESERVED)
			return;
	memcpy(v->pdptes, entries, sizeof(v->pdptes));
}

/* --- the walk of the guest's page tables --- */

struct walk {
	uint64_t gva;
	enum access access;
	bool user;
	uint64_t gpa;
	uint32_t error; /* of the #PF */
};

#define WALK_PAGE_FAULT 1

static int walk_page_fault(struct walk *w, bool present)
{
	w->error = (present ? PF_PRESENT : 0) | (w->access == ACCESS_WRITE ? PF_WRITE : 0) |
		   (w->user ? PF_USER : 0) | (w->access == ACCESS_FETCH ? PF_FETCH : 0);
	return WALK_PAGE_FAULT;
}

/* Sets accessed and dirty bits. A read-only slot does without; a page closed by the host faults. */
static int walk_mark(struct vcpu *v, uint64_t gpa, uint64_t pte, uint64_t bits)
{
	struct slot_page page = slot_page(v->f, v->vm, gpa);

	if ((pte & bits) == bits || page.read_only)
		return 0;
	if (page.prot != KVM_MAP_READ_WRITE)
		return -EFAULT;
	pte |= bits;
	return map_copy(v->f, page.host, &pte, sizeof(pte), true) ? 0 : -EFAULT;
}

static bool walk_permits(const struct vcpu *v, const struct walk *w, uint64_t rights)
{
	if (w->user && !(rights & PTE_USER))
		return false;
	if (w->access == ACCESS_WRITE && !(rights & PTE_WRITABLE) &&
	    (w->user || v->sregs.cr0 & CR0_WP))
		return false;
	return w->access != ACCESS_FETCH || !(rights & PTE_NX);
}

/* Reads the entry at gpa: 0, a #PF when nothing is there, -EFAULT when the host closed it. */
static int walk_read(struct vcpu *v, struct walk *w, uint64_t gpa, uint64_t *pte)
{
	struct slot_page page = slot_page(v->f, v->vm, gpa);

	if (!page.present)
		return walk_page_fault(w, false);
	if (page.prot < KVM_MAP_READ || !map_copy(v->f, page.host, pte, sizeof(*pte), false))
		return -EFAULT;
	return *pte & PTE_PRESENT ? 0 : walk_page_fault(w, false);
}

/* From `table` of `level` (3: PML4) down. Permissions are those of all levels together. */
static int walk_tables(struct vcpu *v, struct walk *w, uint64_t table, unsigned level)
{
	const unsigned top = level;
	uint64_t rights = PTE_WRITABLE | PTE_USER, gpas[4], ptes[4];
	unsigned shift;
	int ret;

	for (;; level--) {
		shift = PAGE_BITS + 9 * level;
		gpas[level] = table + (w->gva >> shift & 511) * 8;
		ret = walk_read(v, w, gpas[level], &ptes[level]);
		if (ret)
			return ret;
		rights &= ptes[level] | PTE_NX;
		rights |= v->sregs.efer & EFER_NX ? ptes[level] & PTE_NX : 0;
		table = ptes[level] & PTE_ADDRESS;
		if (!level || (level < 3 && ptes[level] & PTE_PAGE))
			break;
	}
	if (!walk_permits(v, w, rights))
		return walk_page_fault(w, true);
	for (unsigned i = top + 1; i-- > level;) {
		uint64_t dirty = i == level && w->access == ACCESS_WRITE ? PTE_DIRTY : 0;

		ret = walk_mark(v, gpas[i], ptes[i], PTE_ACCESSED | dirty);
		if (ret)
			return ret;
	}
	w->gpa = (table & ~((UINT64_C(1) << shift) - 1)) | (w->gva & ((UINT64_C(1) << shift) - 1));
	return 0;
}

/* The first level was read ahead. */
static int walk_pae(struct vcpu *v, struct walk *w)
{
	uint64_t entry = v->pdptes[w->gva >> 30 & 3];

	return entry & PTE_PRESENT ? walk_tables(v, w, entry & PTE_ADDRESS, 1)
				   : walk_page_fault(w, false);
}

static int walk(struct vcpu *v, struct walk *w)
{
	w->user = v->sregs.ss.dpl == 3;
	if (!(v->sregs.cr0 & CR0_PG)) {
		w->gpa = w->gva;
		return 0;
	}
	if (v->sregs.efer & EFER_LMA && v->sregs.cr4 & CR4_PAE && !(v->sregs.cr4 & 1u << 12))
		return walk_tables(v, w, v->sregs.cr3 & PTE_ADDRESS, 3);
	if (access_pae_paging(&v->sregs))
		return walk_pae(v, w);
	fake_error(v->f, "vCPU %lu: this paging mode is not modelled", v->id);
	return -ENOSYS;
}

/* --- an operand: its parts by page --- */

struct part {
	uint64_t gpa;
	uint16_t offset, len;
	struct slot_page page;
};

struct operand {
	struct part parts[2];
	unsigned count;
};

/* ACCESS_DONE: found; else what the step returns (the guest's #PF is raised). */
static int operand_find(struct vcpu *v, uint64_t gva, size_t size, enum access access,
			struct operand *o)
{
	o->count = 0;
	for (size_t done = 0; done < size;) {
		struct walk w = {.gva = gva + done, .access = access};
		size_t left = PAGE - w.gva % PAGE;
		int ret = walk(v, &w);

		left = left < size - done ? left : size - done;
		if (ret == WALK_PAGE_FAULT) {
			v->sregs.cr2 = w.gva;
			return event_raise(v, VECTOR_PF, w.error);
		}
		if (ret)
			return ret;
		o->parts[o->count++] = (struct part){.gpa = w.gpa,
						     .offset = (uint16_t)done,
						     .len = (uint16_t)left,
						     .page = slot_page(v->f, v->vm, w.gpa)};
		done += left;
	}
	return ACCESS_DONE;
}

static bool part_readable(const struct part *p)
{
	return p->page.present && p->page.prot >= KVM_MAP_READ;
}

static bool part_writable(const struct part *p)
{
	return p->page.present && !p->page.read_only && p->page.prot == KVM_MAP_READ_WRITE;
}

/* Is it the host that closed the page? Else what is missing is a slot, or one to write to. */
static bool part_closed(const struct part *p, bool write)
{
	return p->page.present && !(write && p->page.read_only);
}

int access_fetch(struct vcpu *v, uint64_t gva, size_t len)
{
	struct operand o;
	int ret;

	len = len < OPERAND_MAX ? len : OPERAND_MAX;
	ret = operand_find(v, gva, len, ACCESS_FETCH, &o);
	if (ret != ACCESS_DONE)
		return ret;
	for (unsigned i = 0; i < o.count; i++) {
		if (part_readable(&o.parts[i]))
			continue;
		if (o.parts[i].page.present && !(v->f->flags & FAKE_EMULATES))
			return -EFAULT;
		return guest_emulation_failure(v);
	}
	return ACCESS_DONE;
}

/* --- values --- */

static bool step_reads(const struct fake_step *step)
{
	return step->kind != FAKE_STORE;
}

static bool step_writes(const struct fake_step *step)
{
	return step->kind != FAKE_LOAD;
}

static void value_to_store(const struct vcpu *v, const struct fake_step *step, uint8_t *data)
{
	uint64_t value = step->reg ? reg_get(v, step->reg) : step->data;

	memset(data, 0, OPERAND_MAX);
	if (step->bytes)
		memcpy(data, step->bytes, step->size);
	else
		memcpy(data, &value, step->size < 8 ? step->size : 8);
}

/* What was read goes to its register, or is changed for writing back. */
static void value_loaded(struct vcpu *v, const struct fake_step *step, uint8_t *data)
{
	enum fake_reg reg = step->reg ? step->reg : FAKE_RAX;
	uint64_t value = step->size < 4 && step->kind == FAKE_LOAD ? reg_get(v, reg) : 0;

	if (step->size > 8)
		return;
	memcpy(&value, data, step->size);
	if (step->kind == FAKE_LOAD) {
		reg_set(v, reg, value);
		return;
	}
	value += step->data;
	memcpy(data, &value, step->size);
}

/* --- the emulator: emulator_read_write(), complete_emulated_mmio() --- */

/* A part outside RAM becomes MMIO exits of at most 8 bytes. */
static void mmio_add(struct pending *p, const struct part *part)
{
	for (uint16_t done = 0; done < part->len;) {
		uint8_t len = part->len - done < 8 ? (uint8_t)(part->len - done) : 8;

		p->fragments[p->count++] =
			(struct fragment){.gpa = part->gpa + done,
					  .offset = (uint16_t)(part->offset + done),
					  .len = len};
		done += len;
	}
}

static int mmio_exit(struct vcpu *v, struct pending *p)
{
	const struct fragment *fragment = &p->fragments[p->next];
	struct kvm_run *run = v->run;

	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = fragment->gpa;
	run->mmio.len = fragment->len;
	run->mmio.is_write = p->kind == PENDING_STORE;
	if (run->mmio.is_write)
		memcpy(run->mmio.data, p->data + fragment->offset, fragment->len);
	v->pending = *p;
	return 0;
}

/* Writes what is RAM, and retires: only then come the exits for what is not. */
static int emulate_write(struct vcpu *v, struct pending *p)
{
	struct operand o;
	int ret = operand_find(v, p->step.gva, p->step.size, ACCESS_WRITE, &o);

	if (ret != ACCESS_DONE)
		return ret;
	p->kind = PENDING_STORE;
	p->count = p->next = 0;
	for (unsigned i = 0; i < o.count; i++) {
		struct part *part = &o.parts[i];

		if (part_writable(part))
			map_copy(v->f, part->page.host, p->data + part->offset, part->len, true);
		else
			mmio_add(p, part);
	}
	script_consume(v, p->entry);
	script_advance(v, &p->step, p->rip);
	return p->count ? mmio_exit(v, p) : 1;
}

/* All of what is read is there. */
static int emulate_loaded(struct vcpu *v, struct pending *p)
{
	value_loaded(v, &p->step, p->data);
	if (step_writes(&p->step))
		return emulate_write(v, p);
	script_consume(v, p->entry);
	script_advance(v, &p->step, p->rip);
	return 1;
}

static int emulate(struct vcpu *v, const struct operand *o)
{
	struct pending p = {.step = v->step, .entry = v->entry, .rip = v->regs.rip};

	if (v->step.flags & FAKE_NO_EMULATION)
		return guest_emulation_failure(v);
	if (!step_reads(&p.step)) {
		value_to_store(v, &p.step, p.data);
		return emulate_write(v, &p);
	}
	p.kind = PENDING_LOAD;
	for (unsigned i = 0; i < o->count; i++) {
		const struct part *part = &o->parts[i];

		if (part_readable(part))
			map_copy(v->f, part->page.host, p.data + part->offset, part->len, false);
		else
			mmio_add(&p, part);
	}
	return p.count ? mmio_exit(v, &p) : emulate_loaded(v, &p);
}

int access_complete(struct vcpu *v, struct pending *p)
{
	const struct fragment *fragment = &p->fragments[p->next++];

	v->entry = p->entry;
	v->step = p->step;
	if (p->kind == PENDING_LOAD)
		memcpy(p->data + fragment->offset, v->run->mmio.data, fragment->len);
	if (p->next < p->count)
		return mmio_exit(v, p);
	return p->kind == PENDING_LOAD ? emulate_loaded(v, p) : 1;
}

/* --- the processor --- */

static int direct(struct vcpu *v, const struct operand *o)
{
	uint8_t data[OPERAND_MAX];

	value_to_store(v, &v->step, data);
	for (unsigned i = 0; step_reads(&v->step) && i < o->count; i++)
		map_copy(v->f, o->parts[i].page.host, data + o->parts[i].offset, o->parts[i].len,
			 false);
	if (step_reads(&v->step))
		value_loaded(v, &v->step, data);
	for (unsigned i = 0; step_writes(&v->step) && i < o->count; i++)
		map_copy(v->f, o->parts[i].page.host, data + o->parts[i].offset, o->parts[i].len,
			 true);
	guest_retire(v);
	return 1;
}

/* The first page the access cannot have decides whether KVM fails it or emulates it. */
int access_step(struct vcpu *v)
{
	bool write = step_writes(&v->step);
	struct operand o;
	int ret;

	if (!v->step.size || v->step.size > (v->step.kind == FAKE_MODIFY ? 8 : OPERAND_MAX) ||
	    (v->step.kind == FAKE_STORE && v->step.size > 8 && !v->step.bytes)) {
		fake_error(v->f, "memory step of %u bytes", v->step.size);
		return -ENOSYS;
	}
	ret = operand_find(v, v->step.gva, v->step.size, write ? ACCESS_WRITE : ACCESS_READ, &o);
	if (ret != ACCESS_DONE)
		return ret;
	for (unsigned i = 0; i < o.count; i++) {
		const struct part *part = &o.parts[i];

		if (write ? part_writable(part) : part_readable(part))
			continue;
		if (part_closed(part, write) && !(v->f->flags & FAKE_EMULATES))
			return -EFAULT;
		return emulate(v, &o);
	}
	return direct(v, &o);
}
