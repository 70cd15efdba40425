/* SPDX-License-Identifier: MIT */
/*
 * The VMM of guest_stress.c: vsm-run, and threads that kick its processors, send them messages and
 * device interrupts. In the end what they sent and
 * what the guest took must be the same. If nothing is counted any more, it says what is missing.
 *
 * usage: stress --append rounds=NUMBER OPTION... IMAGE (those of vsm-run)
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "machine.h"
#include "options.h"
#include "say.h"
#include "stress.h"

#define STATUS_LOST	1
#define PATIENCE_MS	90000 /* without anything counted */
#define WINDOW_NS	5000000
#define MSI_ADDRESS(id) (UINT64_C(0xfee00000) | (uint64_t)(id) << 12)

static struct machine machine;
static struct stress_board *board;

/* What was sent, by VP or node. */
static uint32_t kicks[STRESS_VPS], messages[STRESS_NODES], msis[STRESS_NODES];
static uint32_t full; /* posts that found the queue full */
/* Calls of vsm_vcpu_run() that a kick or a signal ended. */
static atomic_uint returns[STRESS_VPS];

/* vsm-run's call comes here (ld --wrap). */
int __real_vsm_vcpu_run(struct vsm_vcpu *vcpu, struct kvm_run **run);
int __wrap_vsm_vcpu_run(struct vsm_vcpu *vcpu, struct kvm_run **run);

int __wrap_vsm_vcpu_run(struct vsm_vcpu *vcpu, struct kvm_run **run)
{
	int r = __real_vsm_vcpu_run(vcpu, run);

	if (r == -EINTR)
		atomic_fetch_add(&returns[vsm_vcpu_index(vcpu)], 1);
	return r;
}

static void sleep_ns(long ns)
{
	const struct timespec time = {.tv_nsec = ns};

	nanosleep(&time, NULL);
}

static void fail(const char *what, int error)
{
	say("stress: %s: %s", what, strerror(-error));
	machine_end(&machine, STATUS_LOST);
}

/* --- streams --- */

static bool send_message(unsigned node)
{
	const uint64_t payload = messages[node] - 1;
	const struct vsm_message message = {.size = sizeof(message),
					    .type = STRESS_TYPE,
					    .payload_size = sizeof(payload),
					    .payload = &payload};
	int r = vsm_synic_post_message(machine.cpus[STRESS_VP(node)].vcpu, STRESS_VTL(node),
				       STRESS_SINT, &message);

	if (r == -EAGAIN)
		full++;
	else if (r)
		fail("posting a message", r);
	return r == 0;
}

static bool message_seen(unsigned node)
{
	return board->messages[node] == messages[node];
}

static bool send_msi(unsigned vp, unsigned vtl, unsigned vector)
{
	int r = vsm_partition_signal_msi(machine.partition, vtl, MSI_ADDRESS(vp), vector);

	if (r)
		fail("sending a device interrupt", r);
	return r == 0;
}

static bool send_interrupt(unsigned node)
{
	return send_msi(STRESS_VP(node), STRESS_VTL(node), STRESS_VECTOR_MSI(STRESS_VTL(node)));
}

static bool interrupt_seen(unsigned node)
{
	return board->msis[node] == msis[node];
}

static uint32_t returns_before[STRESS_VPS];

static bool kick(unsigned vp)
{
	returns_before[vp] = atomic_load(&returns[vp]);
	vsm_vcpu_kick(machine.cpus[vp].vcpu);
	return true;
}

/* A call has returned since, be it for the kick or for something else that came first. */
static bool kick_seen(unsigned vp)
{
	return !kicks[vp] || atomic_load(&returns[vp]) != returns_before[vp];
}

static const struct stream {
	bool (*send)(unsigned i); /* false: not now */
	bool (*seen)(unsigned i); /* all that were sent */
	uint32_t *sent;
	unsigned per_vp;
	bool waits; /* in the storm, too, until the last one was seen */
} streams[] = {
	{send_message, message_seen, messages, 2, false},
	{send_interrupt, interrupt_seen, msis, 2, true},
	{kick, kick_seen, kicks, 1, true},
};

#define STREAMS (sizeof(streams) / sizeof(streams[0]))

static bool ended(void)
{
	return atomic_load(&machine.ended);
}

/* It may be taken, and counted, before send() is back. */
static bool step(const struct stream *s, unsigned i)
{
	bool sent;

	s->sent[i]++;
	sent = s->send(i);
	s->sent[i] -= !sent;
	return sent;
}

/* --- the first half: one thing at a time --- */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static unsigned random_below(unsigned limit)
{
	static uint64_t state = 1;

	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(state >> 33) % limit;
}

static void spin_ns(uint64_t ns)
{
	for (uint64_t end = now_ns() + ns; now_ns() < end;)
		;
}

/*
 * At any moment of what the guest does after the last one was counted: it ends that interrupt,
 * halts, and its thread falls asleep. How long that takes is about what the last one took.
 */
static void send_alone(const struct stream *s, unsigned i)
{
	static uint64_t took;
	uint64_t start;

	spin_ns(took < WINDOW_NS ? random_below((unsigned)took + 1) : random_below(WINDOW_NS));
	start = now_ns();
	step(s, i);
	while (!s->seen(i) && !ended())
		sched_yield();
	took = now_ns() - start;
}

/* One of the VP's that are not at their half; false: there is none. */
static bool send_one(unsigned vp)
{
	unsigned first = random_below(STREAMS), vtl = random_below(2);

	for (unsigned n = 0; n < 2 * STREAMS; n++) {
		const struct stream *s = &streams[(first + n) % STREAMS];
		unsigned i = vp * s->per_vp + (vtl + n / STREAMS) % s->per_vp;

		if (s->sent[i] < board->rounds / 2) {
			send_alone(s, i);
			return true;
		}
	}
	return false;
}

static void *first_half(void *arg)
{
	(void)arg;
	while (!board->ready && !ended())
		sleep_ns(1000000);
	for (unsigned vp = 0; vp < STRESS_VPS; vp++) {
		board->busy = vp;
		while (!ended() && send_one(vp))
			;
	}
	if (!ended())
		send_msi(0, 0, STRESS_VECTOR_HALF);
	return NULL;
}

/* --- the second half: all at once --- */

/* Returns whether one was sent; counts those that were all seen. */
static bool send_next(const struct stream *s, unsigned i, unsigned *done)
{
	if (s->sent[i] == board->rounds) {
		*done += s->seen(i);
		return false;
	}
	return (!s->waits || s->seen(i)) && step(s, i);
}

static void *second_half(void *arg)
{
	const struct stream *s = arg;
	unsigned count = s->per_vp * STRESS_VPS, done = 0;

	while (!board->storm && !ended())
		sleep_ns(1000000);
	while (done < count && !ended()) {
		bool any = false;

		done = 0;
		for (unsigned i = 0; i < count; i++)
			any |= send_next(s, i, &done);
		if (!any)
			sleep_ns(50000);
	}
	if (s->send == kick && !ended())
		send_msi(0, 0, STRESS_VECTOR_KICKED);
	return NULL;
}

/* --- watching --- */

struct totals {
	uint64_t interrupts, messages, msis, timers, guards, kicks;
};

static struct totals count(void)
{
	struct totals t = {0};

	for (unsigned to = 0; to < STRESS_NODES; to++) {
		t.messages += board->messages[to];
		t.msis += board->msis[to];
		for (unsigned from = 0; from < STRESS_NODES; from++)
			t.interrupts += board->interrupts[to][from];
	}
	for (unsigned vp = 0; vp < STRESS_VPS; vp++) {
		t.timers += board->timers[vp];
		t.guards += board->guards[vp];
		t.kicks += kicks[vp];
	}
	return t;
}

static uint64_t sum(const struct totals *t)
{
	return t->interrupts + t->messages + t->msis + t->timers + t->guards + t->kicks;
}

static void report_node(unsigned node)
{
	unsigned vp = STRESS_VP(node), vtl = STRESS_VTL(node);

	printf("VP %u VTL%u: messages %u of %u, device interrupts %u of %u", vp, vtl,
	       board->messages[node], messages[node], board->msis[node], msis[node]);
	for (unsigned from = 0; from < STRESS_NODES; from++)
		printf(", from VP %u VTL%u %u", STRESS_VP(from), STRESS_VTL(from),
		       board->interrupts[node][from]);
	printf("\n");
}

static void report_lost(void)
{
	printf("nothing for %u s\n", PATIENCE_MS / 1000);
	for (unsigned node = 0; node < STRESS_NODES; node++)
		report_node(node);
	for (unsigned vp = 0; vp < STRESS_VPS; vp++)
		printf("VP %u: VTL%u active, VTL1's timers %u, guards %u of %u, kicks %u, returns "
		       "%u\n",
		       vp, vsm_vcpu_active_vtl(machine.cpus[vp].vcpu), board->timers[vp],
		       board->guards[vp], board->guards_set[vp], kicks[vp],
		       atomic_load(&returns[vp]));
	fflush(stdout);
	report_waits(&machine);
}

static void *watch(void *arg)
{
	uint64_t last = 0, ms = 0;

	(void)arg;
	for (; !ended() && ms < PATIENCE_MS; ms += 10) {
		const struct totals t = count();

		if (sum(&t) != last)
			ms = 0;
		last = sum(&t);
		sleep_ns(10000000);
	}
	if (!ended()) {
		report_lost();
		machine_end(&machine, STATUS_LOST);
	}
	return NULL;
}

/* --- the end --- */

/* The guest has compared its own. */
static bool all_seen(void)
{
	const struct totals t = count();
	uint64_t rounds = board->rounds, sent_messages = 0, sent_msis = 0, returned = 0,
		 halts[2] = {0};

	for (unsigned node = 0; node < STRESS_NODES; node++) {
		sent_messages += messages[node];
		sent_msis += msis[node];
	}
	for (unsigned vp = 0; vp < STRESS_VPS; vp++) {
		returned += atomic_load(&returns[vp]);
		halts[0] += board->halts[0][vp];
		halts[1] += board->halts[1][vp];
	}
	printf("%llu events: %llu interrupts between VTLs, %llu messages, %llu device interrupts, "
	       "%llu and %llu timers, %llu kicks (%llu returns); %llu and %llu halts of VTL0 and "
	       "VTL1; the queue was full %u times; %u delivered twice\n",
	       (unsigned long long)sum(&t), (unsigned long long)t.interrupts,
	       (unsigned long long)t.messages, (unsigned long long)t.msis,
	       (unsigned long long)t.timers, (unsigned long long)t.guards,
	       (unsigned long long)t.kicks, (unsigned long long)returned,
	       (unsigned long long)halts[0], (unsigned long long)halts[1], full, board->repeats);
	return t.interrupts == STRESS_NODES * STRESS_NODES * rounds &&
	       t.messages == sent_messages && sent_messages == STRESS_NODES * rounds &&
	       t.msis == sent_msis && sent_msis == STRESS_NODES * rounds &&
	       t.timers == STRESS_VPS * rounds && t.kicks == STRESS_VPS * rounds &&
	       returned >= t.kicks;
}

static int run_threads(void)
{
	pthread_t threads[STREAMS], first, watcher;
	int status;

	for (size_t i = 0; i < STREAMS; i++)
		pthread_create(&threads[i], NULL, second_half, (void *)(uintptr_t)&streams[i]);
	pthread_create(&first, NULL, first_half, NULL);
	pthread_create(&watcher, NULL, watch, NULL);
	status = machine_run(&machine);
	for (size_t i = 0; i < STREAMS; i++)
		pthread_join(threads[i], NULL);
	pthread_join(first, NULL);
	pthread_join(watcher, NULL);
	if (!status && !all_seen()) {
		say("stress: not all that was sent was taken");
		status = STATUS_LOST;
	}
	return status;
}

static int run(const struct options *o, uint32_t rounds)
{
	int status = machine_open(&machine, o);

	if (!status)
		status = machine_load(&machine);
	if (!status)
		status = machine_create(&machine);
	if (!status) {
		board = (struct stress_board *)((uint8_t *)machine.ram.base + STRESS_BOARD);
		board->rounds = rounds;
		status = run_threads();
	}
	machine_close(&machine);
	return status;
}

int main(int argc, char **argv)
{
	struct options o;
	unsigned rounds = 0;
	int status = options_parse(argc, argv, &o);

	if (status >= 0)
		return status;
	if (o.probe)
		return report_probe(&o);
	if (sscanf(o.append, "rounds=%u", &rounds) != 1 || rounds < 2) {
		say("stress: --append rounds=NUMBER is missing, at least 2");
		return STATUS_USAGE;
	}
	o.cpus = STRESS_VPS;
	return run(&o, rounds);
}
