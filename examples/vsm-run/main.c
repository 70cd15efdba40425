/* SPDX-License-Identifier: MIT */
/* vsm-run: a small virtual machine monitor on libvsm. */
#include <signal.h>
#include "machine.h"
#include "options.h"

/* For the signal handlers, which have no other way to it; set only while the machine runs. */
static struct machine *_Atomic running;

static void on_end(int signal)
{
	struct machine *m = atomic_load(&running);

	(void)signal;
	if (m)
		machine_end(m, STATUS_SIGNAL);
}

static void on_report(int signal)
{
	struct machine *m = atomic_load(&running);

	if (m)
		machine_report(m, signal == SIGTERM);
}

static void watch_signals(struct machine *m)
{
	struct sigaction end = {.sa_handler = on_end}, report = {.sa_handler = on_report};

	atomic_store(&running, m);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &report, NULL);
	sigaction(SIGUSR2, &report, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int run(const struct options *o)
{
	struct machine m;
	int status = machine_open(&m, o);

	if (!status)
		status = machine_load(&m);
	if (!status)
		status = machine_create(&m);
	if (!status) {
		watch_signals(&m);
		status = machine_run(&m);
		atomic_store(&running, NULL);
		if (o->stats)
			report_stats(&m);
	}
	machine_close(&m);
	return status;
}

int main(int argc, char **argv)
{
	struct options o;
	int status = options_parse(argc, argv, &o);

	if (status >= 0)
		return status;
	return o.probe ? report_probe(&o) : run(&o);
}
