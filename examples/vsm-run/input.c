/* SPDX-License-Identifier: MIT */
/* The thread waits for a byte as long as COM1 has room for one, else for room. */
#include "input.h"
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "machine.h"

static void take_terminal(struct input *in)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &in->settings) || tcgetpgrp(STDIN_FILENO) != getpgrp())
		return;
	t = in->settings;
	t.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | IXON);
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	t.c_cc[VQUIT] = t.c_cc[VSUSP] = _POSIX_VDISABLE; /* the guest's */
	in->is_terminal = tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

void input_wake(const struct input *input)
{
	int saved = errno;

	if (eventfd_write(input->wake_fd, 1))
		errno = saved; /* the counter is full: it is awake */
}

static void wait_for_byte(struct machine *m)
{
	struct pollfd fds[2] = {{.fd = m->input.wake_fd, .events = POLLIN},
				{.fd = -1, .events = POLLIN}};
	eventfd_t count;

	pthread_mutex_lock(&m->devices);
	if (serial_has_room(&m->serial))
		fds[1].fd = m->serial.in_fd;
	pthread_mutex_unlock(&m->devices);
	if (poll(fds, 2, -1) <= 0)
		return;
	if (fds[0].revents)
		eventfd_read(m->input.wake_fd, &count);
	if (!fds[1].revents)
		return;
	pthread_mutex_lock(&m->devices);
	serial_receive(&m->serial);
	pthread_mutex_unlock(&m->devices);
}

/* Here, and not in the signal's handler, which may use nothing that takes a lock. */
static void report(struct machine *m)
{
	report_waits(m);
	for (unsigned i = 0; i < m->options->cpus; i++)
		vsm_vcpu_kick(m->cpus[i].vcpu);
	if (atomic_load(&m->last_report))
		machine_end(m, STATUS_SIGNAL);
}

static void *input_thread(void *arg)
{
	struct machine *m = arg;
	unsigned reports = 0;

	while (!atomic_load(&m->ended)) {
		wait_for_byte(m);
		if (atomic_load(&m->reports) == reports)
			continue;
		reports = atomic_load(&m->reports);
		report(m);
	}
	return NULL;
}

int input_start(struct machine *m)
{
	int r;

	take_terminal(&m->input);
	r = pthread_create(&m->input.thread, NULL, input_thread, m);
	m->input.has_thread = r == 0;
	return -r;
}

void input_stop(struct machine *m)
{
	if (m->input.has_thread)
		pthread_join(m->input.thread, NULL);
	if (m->input.is_terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &m->input.settings);
}
