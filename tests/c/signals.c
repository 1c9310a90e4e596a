/*
 * Signals that come while ipq_read waits. No packets are wanted.
 */
#include "program.h"

#include <signal.h>
#include <sys/time.h>

static unsigned char buffer[BUFFER_SIZE];
static volatile sig_atomic_t signals;

static void on_alarm(int number)
{
	(void)number;
	signals++;
}

/* SIGALRM in 20 ms and then every 20 ms, with these flags for its handler. */
static void alarms(int flags)
{
	struct itimerval timer = { { 0, 20000 }, { 0, 20000 } };
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_alarm;
	action.sa_flags = flags;
	expect(sigaction(SIGALRM, &action, NULL) == 0);
	signals = 0;
	expect(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

/* The third signal destroys what is being waited for to end, as no handler with SA_RESTART ends it. */
static void on_alarm_make_it_non_blocking(int number);
static int waited_for;

static void on_alarm_make_it_non_blocking(int number)
{
	on_alarm(number);
	if (signals == 3)
		fcntl(waited_for, F_SETFL, O_NONBLOCK);
}

static void restarts(const struct ipq_handle *h)
{
	struct sigaction action;

	alarms(SA_RESTART);
	expect(sigaction(SIGALRM, NULL, &action) == 0);
	action.sa_handler = on_alarm_make_it_non_blocking;
	expect(sigaction(SIGALRM, &action, NULL) == 0);
	waited_for = h->fd;
	/* It goes on waiting until the restarted call finds the descriptor non-blocking. */
	expect(ipq_read(h, buffer, sizeof(buffer), 0) == -1 && errno == EAGAIN);
	printf("for ever, with SA_RESTART: %d signals, %s\n", (int)signals, ipq_errstr());
	expect(fcntl(h->fd, F_SETFL, 0) == 0);
}

int main(void)
{
	struct ipq_handle *h = open_queue(NFPROTO_IPV4, IPQ_COPY_META, 0);

	setvbuf(stdout, NULL, _IOLBF, 0);
	alarms(0);
	expect(ipq_read(h, buffer, sizeof(buffer), 0) == -1 && errno == EINTR);
	printf("for ever: %d signal, %s\n", (int)signals, ipq_errstr());

	alarms(0);
	expect(ipq_read(h, buffer, sizeof(buffer), PATIENCE) == 0 && errno == EINTR);
	printf("with a time-out: %d signal, %s\n", (int)signals, ipq_errstr());

	alarms(SA_RESTART);
	expect(ipq_read(h, buffer, sizeof(buffer), PATIENCE) == 0 && errno == EINTR);
	printf("with a time-out and SA_RESTART: %d signal, %s\n", (int)signals, ipq_errstr());

	restarts(h);
	close_queue(h);
	return 0;
}
