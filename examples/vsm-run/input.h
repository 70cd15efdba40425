/* SPDX-License-Identifier: MIT */
/* What is typed: a thread that brings standard input to COM1, and the terminal's settings. */
#ifndef VSM_RUN_INPUT_H
#define VSM_RUN_INPUT_H

#include <pthread.h>
#include <stdbool.h>
#include <termios.h>

struct machine;

struct input {
	pthread_t thread;
	bool has_thread;
	int wake_fd; /* an eventfd: COM1 has room again, or the machine ended */
	bool is_terminal;
	struct termios settings; /* to be restored */
};

/*
 * Lets single keys through, unchanged and without echo, if standard input is a terminal in the
 * foreground; Ctrl-C still sends SIGINT. Starts the thread. 0 or -errno; input_stop() in any case.
 */
int input_start(struct machine *m);

/* Lets the thread look again. Signal handlers too. */
void input_wake(const struct input *input);

/* After the machine ended: joins the thread, restores the terminal. */
void input_stop(struct machine *m);

#endif
