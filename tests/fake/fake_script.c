// SPDX-License-Identifier: MIT
/* The fake KVM: what a guest does. */
#include "fake.h"

/* --- registers by name --- */

static uint64_t *reg_at(struct vcpu *v, enum fake_reg reg)
{
	struct kvm_regs *r = &v->regs;
	struct kvm_sregs *s = &v->sregs;
	__u64 *const where[] = {
		[FAKE_RAX] = &r->rax, [FAKE_RCX] = &r->rcx, [FAKE_RDX] = &r->rdx,
		[FAKE_RBX] = &r->rbx, [FAKE_RSP] = &r->rsp, [FAKE_RBP] = &r->rbp,
		[FAKE_RSI] = &r->rsi, [FAKE_RDI] = &r->rdi, [FAKE_R8] = &r->r8,
		[FAKE_R9] = &r->r9,   [FAKE_R10] = &r->r10, [FAKE_R11] = &r->r11,
		[FAKE_R12] = &r->r12, [FAKE_R13] = &r->r13, [FAKE_R14] = &r->r14,
		[FAKE_R15] = &r->r15, [FAKE_RIP] = &r->rip, [FAKE_RFLAGS] = &r->rflags,
		[FAKE_CR0] = &s->cr0, [FAKE_CR2] = &s->cr2, [FAKE_CR3] = &s->cr3,
		[FAKE_CR4] = &s->cr4, [FAKE_CR8] = &s->cr8, [FAKE_EFER] = &s->efer,
	};

	return (size_t)reg < ARRAY_SIZE(where) ? (uint64_t *)where[reg] : NULL;
}

uint64_t reg_get(const struct vcpu *v, enum fake_reg reg)
{
	const uint64_t *at = reg_at((struct vcpu *)v, reg);

	return at ? *at : 0;
}

void reg_set(struct vcpu *v, enum fake_reg reg, uint64_t value)
{
	uint64_t *at = reg_at(v, reg);

	if (at)
		*at = value;
	else
		fake_error(v->f, "a step sets register %d, which does not exist", reg);
}

/* --- the queue and the program --- */

static void script_add(struct script *s, const struct fake_step *step)
{
	struct script_entry *entry = fake_grow(NULL, 1, sizeof(*entry));

	*entry = (struct script_entry){.step = *step};
	s->entries = fake_grow(s->entries, s->count + 1, sizeof(*s->entries));
	s->entries[s->count++] = entry;
}

void script_free(struct script *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->entries[i]);
	free(s->entries);
}

static struct script_entry *program_at(const struct vcpu *v, uint64_t rip)
{
	for (size_t i = 0; i < v->program.count; i++)
		if (v->program.entries[i]->step.rip == rip)
			return v->program.entries[i];
	return NULL;
}

void fake_vcpu_script(struct fake_kvm *f, int vcpu_fd, const struct fake_step *steps, size_t count)
{
	struct vcpu *v;

	pthread_mutex_lock(&f->lock);
	v = vcpu_of(f, vcpu_fd);
	for (size_t i = 0; v && i < count; i++)
		script_add(&v->queue, &steps[i]);
	pthread_mutex_unlock(&f->lock);
}

void fake_vcpu_program(struct fake_kvm *f, int vcpu_fd, const struct fake_step *steps, size_t count)
{
	struct vcpu *v;

	pthread_mutex_lock(&f->lock);
	v = vcpu_of(f, vcpu_fd);
	for (size_t i = 0; v && i < count; i++) {
		struct script_entry *old = program_at(v, steps[i].rip);

		if (!steps[i].rip)
			fake_error(f, "step %zu of a program has no RIP", i);
		else if (old)
			*old = (struct script_entry){.step = steps[i]};
		else
			script_add(&v->program, &steps[i]);
	}
	pthread_mutex_unlock(&f->lock);
}

void fake_vcpu_fetch(struct fake_kvm *f, int vcpu_fd, bool on)
{
	struct vcpu *v;

	pthread_mutex_lock(&f->lock);
	v = vcpu_of(f, vcpu_fd);
	if (v)
		v->fetches = on;
	pthread_mutex_unlock(&f->lock);
}

int script_next(struct vcpu *v)
{
	struct script_entry *entry = program_at(v, v->regs.rip);

	if (!entry && v->queue.next < v->queue.count)
		entry = v->queue.entries[v->queue.next];
	if (!entry) {
		fake_error(v->f, "vCPU %lu: no step left, RIP %#llx", v->id, v->regs.rip);
		return -ENOSYS;
	}
	if (entry->step.rip && entry->step.rip != v->regs.rip) {
		fake_error(v->f, "vCPU %lu: RIP is %#llx, the next step is at %#llx", v->id,
			   v->regs.rip, (unsigned long long)entry->step.rip);
		return -ENOSYS;
	}
	v->entry = entry;
	v->step = entry->step;
	return 0;
}

bool script_from_queue(const struct vcpu *v, const struct script_entry *entry)
{
	return v->queue.next < v->queue.count && v->queue.entries[v->queue.next] == entry;
}

void script_consume(struct vcpu *v, struct script_entry *entry)
{
	if (script_from_queue(v, entry))
		v->queue.next++;
	entry->done = true;
}

void script_advance(struct vcpu *v, const struct fake_step *step, uint64_t rip)
{
	v->regs.rip = rip + step->length;
	for (size_t i = 0; i < ARRAY_SIZE(step->effects); i++)
		if (step->effects[i].reg)
			reg_set(v, step->effects[i].reg,
				reg_get(v, step->effects[i].reg) + (uint64_t)step->effects[i].add);
	v->events.interrupt.shadow = 0;
	v->step_debug = true;
}

static bool script_used(const struct script *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (!s->entries[i]->done && !(s->entries[i]->step.flags & FAKE_OPTIONAL))
			return false;
	return true;
}

bool script_done(const struct vcpu *v)
{
	return script_used(&v->queue) && script_used(&v->program);
}

bool fake_vcpu_script_done(struct fake_kvm *f, int vcpu_fd)
{
	const struct vcpu *v;

	pthread_mutex_lock(&f->lock);
	v = vcpu_of(f, vcpu_fd);
	return fake_leave(f, v && script_done(v));
}

bool fake_kvm_script_done(struct fake_kvm *f)
{
	bool done = true;

	pthread_mutex_lock(&f->lock);
	for (const struct vcpu *v = f->vcpus; v; v = v->next)
		done &= script_done(v);
	return fake_leave(f, done);
}
