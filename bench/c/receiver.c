#define _GNU_SOURCE
#include "receiver.h"

#include <inttypes.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

volatile sig_atomic_t receiver_asked;

void receiver_fail(const char *what)
{
	perror(what);
	exit(1);
}

struct options receiver_options(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr, "usage: %s QUEUE MAXLEN RCVBUF GSO [BATCH]\n", argv[0]);
		exit(2);
	}
	/* Whatever becomes of the program that started this one. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return (struct options){
		.queue = (uint16_t)atoi(argv[1]),
		.maxlen = (uint32_t)atoi(argv[2]),
		.rcvbuf = atoi(argv[3]),
		.gso = atoi(argv[4]) != 0,
		.batch = argc > 5 ? (unsigned int)atoi(argv[5]) : 1,
	};
}

void receiver_prepare(int fd, const struct options *options)
{
	const int *size = &options->rcvbuf;
	int on = 1;

	/* Beyond the system's limit only with privileges that a user namespace does not give. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, size, sizeof(*size)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, size, sizeof(*size)) < 0)
		receiver_fail("SO_RCVBUF");
	if (setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on)) < 0)
		receiver_fail("NETLINK_NO_ENOBUFS");
}

static void on_signal(int signal)
{
	receiver_asked = signal;
}

void receiver_ready(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	if (sigaction(SIGUSR1, &action, NULL) < 0 || sigaction(SIGTERM, &action, NULL) < 0)
		receiver_fail("sigaction");
	puts("ready");
	fflush(stdout);
}

static uint64_t nanoseconds(clockid_t clock)
{
	struct timespec time;

	if (clock_gettime(clock, &time) < 0)
		receiver_fail("clock_gettime");
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void receiver_report(uint64_t packets)
{
	bool is_last = receiver_asked == SIGTERM;

	receiver_asked = 0;
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", packets,
	       nanoseconds(CLOCK_PROCESS_CPUTIME_ID), nanoseconds(CLOCK_MONOTONIC));
	fflush(stdout);
	if (is_last)
		exit(0);
}
