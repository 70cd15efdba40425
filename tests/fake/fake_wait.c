// SPDX-License-Identifier: MIT
/* The fake KVM: threads that sleep, what wakes them, and event loops. */
#include <time.h>
#include <unistd.h>
#include "fake.h"

#define PATIENCE_S 10

void wake_put(struct wake *w)
{
	if (!--w->refs)
		free(w);
}

void wait_signal_thread(struct fake_kvm *f, int thread)
{
	for (struct sleeper *s = f->sleepers; s; s = s->next)
		if (s->thread == thread)
			s->signalled = true;
}

static void sleep_once(struct fake_kvm *f)
{
	f->asleep++;
	pthread_cond_broadcast(&f->changed);
	pthread_cond_wait(&f->changed, &f->lock);
	f->asleep--;
}

/* --- a wake-up fd --- */

static int wake_get(struct fake_kvm *f, int fd, struct wake **w)
{
	void *object = NULL;
	int ret = fd_get(f, fd, FD_WAKE, &object);

	*w = object;
	return ret;
}

int op_create_wake_fd(const struct kvm_host *h)
{
	struct fake_kvm *f;
	struct wake *w;
	int ret = fake_enter(h, FAKE_OP_create_wake_fd, &f);

	if (ret)
		return fake_leave(f, ret);
	w = fake_grow(NULL, 1, sizeof(*w));
	*w = (struct wake){.refs = 1};
	ret = fd_new(f, FD_WAKE, w);
	if (ret < 0)
		wake_put(w);
	return fake_leave(f, ret);
}

static int wake_set(const struct kvm_host *h, enum fake_op op, int fd, bool signalled)
{
	struct fake_kvm *f;
	struct wake *w;
	int ret = fake_enter(h, op, &f);

	if (!ret)
		ret = wake_get(f, fd, &w);
	if (!ret) {
		w->signalled = signalled;
		pthread_cond_broadcast(&f->changed);
	}
	return fake_leave(f, ret);
}

int op_signal_fd(const struct kvm_host *h, int fd)
{
	return wake_set(h, FAKE_OP_signal_fd, fd, true);
}

int op_drain_fd(const struct kvm_host *h, int fd)
{
	return wake_set(h, FAKE_OP_drain_fd, fd, false);
}

static int wait_for(struct fake_kvm *f, struct wake *w, uint64_t until)
{
	struct sleeper self = {.thread = gettid(), .until = until, .next = f->sleepers};
	struct sleeper **link = &f->sleepers;

	f->sleepers = &self;
	while (!w->signalled && f->clock < until && !self.signalled)
		sleep_once(f);
	while (*link != &self)
		link = &(*link)->next;
	*link = self.next;
	if (w->signalled)
		return 0;
	return self.signalled ? -EINTR : -ETIMEDOUT;
}

int op_wait_fd(const struct kvm_host *h, int fd, uint64_t until_ns)
{
	struct fake_kvm *f;
	struct wake *w;
	int ret = fake_enter(h, FAKE_OP_wait_fd, &f);

	if (!ret)
		ret = wake_get(f, fd, &w);
	if (ret)
		return fake_leave(f, ret);
	w->refs++;
	ret = wait_for(f, w, until_ns);
	wake_put(w);
	return fake_leave(f, ret);
}

static bool wait_asleep(struct fake_kvm *f, unsigned count)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	while (f->asleep != count)
		if (pthread_cond_timedwait(&f->changed, &f->lock, &until))
			return false;
	return true;
}

bool fake_kvm_wait_sleepers(struct fake_kvm *f, unsigned count)
{
	bool reached;

	pthread_mutex_lock(&f->lock);
	reached = wait_asleep(f, count);
	pthread_mutex_unlock(&f->lock);
	return reached;
}

unsigned fake_kvm_sleepers(struct fake_kvm *f)
{
	unsigned count;

	pthread_mutex_lock(&f->lock);
	count = f->asleep;
	pthread_mutex_unlock(&f->lock);
	return count;
}

void fake_kvm_report(struct fake_kvm *f, FILE *to)
{
	struct timespec soon;

	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_sec++;
	if (pthread_mutex_timedlock(&f->lock, &soon)) {
		fprintf(to, "fake KVM: its lock is held\n");
		return;
	}
	fprintf(to, "fake KVM: it is %llu ns; %u threads sleep\n", (unsigned long long)f->clock,
		f->asleep);
	for (const struct sleeper *s = f->sleepers; s; s = s->next)
		fprintf(to, "thread %d sleeps until it is %llu ns\n", s->thread,
			(unsigned long long)s->until);
	for (const struct vcpu *v = f->vcpus; v; v = v->next)
		if (v->running)
			fprintf(to, "thread %d is in KVM_RUN of vCPU %lu%s, RIP %#llx\n", v->thread,
				v->id, v->idle ? ", idle" : "", v->regs.rip);
	pthread_mutex_unlock(&f->lock);
}

/* --- event loops --- */

int op_event_create(const struct kvm_host *h, enum kvm_event_backend backend,
		    struct kvm_event_loop **loop)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_event_create, &f);

	(void)backend;
	if (!ret) {
		*loop = fake_grow(NULL, 1, sizeof(**loop));
		**loop = (struct kvm_event_loop){.deadline = KVM_NEVER};
		f->loops++;
	}
	return fake_leave(f, ret);
}

void op_event_destroy(const struct kvm_host *h, struct kvm_event_loop *loop)
{
	struct fake_kvm *f;

	fake_enter(h, FAKE_OP_event_destroy, &f);
	f->loops--;
	free(loop);
	fake_leave(f, 0);
}

/* Nothing of the model can be polled. */
int op_event_fd(const struct kvm_host *h, const struct kvm_event_loop *loop)
{
	struct fake_kvm *f;

	(void)loop;
	fake_enter(h, FAKE_OP_event_fd, &f);
	return fake_leave(f, FAKE_FIRST_FD - 1);
}

int op_event_set_deadline(const struct kvm_host *h, struct kvm_event_loop *loop, uint64_t ns)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_event_set_deadline, &f);

	if (!ret) {
		loop->deadline = ns;
		pthread_cond_broadcast(&f->changed);
	}
	return fake_leave(f, ret);
}

static int loop_add(struct fake_kvm *f, struct kvm_event_loop *loop, int fd, uint64_t cookie)
{
	struct wake *w;
	int ret = wake_get(f, fd, &w);

	for (unsigned i = 0; i < LOOP_SOURCES && !ret; i++) {
		if (loop->sources[i].used)
			continue;
		loop->sources[i] = (struct loop_source){true, fd, cookie};
		pthread_cond_broadcast(&f->changed);
		return 0;
	}
	return ret ? ret : -ENOSPC;
}

int op_event_add_fd(const struct kvm_host *h, struct kvm_event_loop *loop, int fd, uint64_t cookie)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_event_add_fd, &f);

	return fake_leave(f, ret ? ret : loop_add(f, loop, fd, cookie));
}

int op_event_remove_fd(const struct kvm_host *h, struct kvm_event_loop *loop, int fd)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_event_remove_fd, &f);

	if (!ret)
		ret = -ENOENT;
	for (unsigned i = 0; i < LOOP_SOURCES; i++)
		if (loop->sources[i].used && loop->sources[i].fd == fd) {
			loop->sources[i].used = false;
			ret = 0;
		}
	return fake_leave(f, ret);
}

static unsigned loop_ready(struct fake_kvm *f, const struct kvm_event_loop *loop, uint64_t *cookies,
			   unsigned max)
{
	struct wake *w;
	unsigned n = 0;

	if (n < max && loop->deadline <= f->clock)
		cookies[n++] = KVM_EVENT_DEADLINE;
	for (unsigned i = 0; i < LOOP_SOURCES && n < max; i++)
		if (loop->sources[i].used && !wake_get(f, loop->sources[i].fd, &w) && w->signalled)
			cookies[n++] = loop->sources[i].cookie;
	return n;
}

int op_event_collect(const struct kvm_host *h, struct kvm_event_loop *loop, bool block,
		     uint64_t *cookies, unsigned max)
{
	struct fake_kvm *f;
	unsigned n;
	int ret = fake_enter(h, FAKE_OP_event_collect, &f);

	if (ret)
		return fake_leave(f, ret);
	n = loop_ready(f, loop, cookies, max);
	while (!n && block && max) {
		sleep_once(f);
		n = loop_ready(f, loop, cookies, max);
	}
	return fake_leave(f, (int)n);
}
