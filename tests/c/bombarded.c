/*
 * Uses every function while signals come all the time, for which there is a handler that restarts nothing. Reads that wait
 * may be ended by one: for ever with -1, with a time-out with 0, and EINTR both times. Nothing else may be.
 *
 * COUNT: accepts COUNT packets.
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

/* SIGALRM every 100 microseconds. */
static void bombard(void)
{
	struct itimerval timer = { { 0, 100 }, { 0, 100 } };
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_alarm;
	expect(sigaction(SIGALRM, &action, NULL) == 0);
	expect(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void open_and_close(int times)
{
	while (times--) {
		struct ipq_handle *h = open_queue(NFPROTO_IPV4, IPQ_COPY_META, 0);

		expect(ipq_set_mode(h, IPQ_COPY_PACKET, 100) > 0);
		expect(ipq_set_mode(h, IPQ_COPY_NONE, 0) > 0);
		close_queue(h);
	}
}

static void accept_packet(const struct ipq_handle *h, long number)
{
	const ipq_packet_msg_t *packet = ipq_get_packet(buffer);
	struct ipq_verdict verdict = { 0, NF_ACCEPT, 0, NULL };
	struct ipq_statistics statistics;

	expect(packet);
	verdict.id = packet->packet_id;
	if (number % 2)
		expect(ipq_set_verdict(h, packet->packet_id, NF_ACCEPT, 0, NULL) > 0);
	else
		expect(ipq_set_verdicts(h, &verdict, 1) == 1);
	expect(ipq_get_statistics(h, &statistics, sizeof(statistics)) == 0);
	expect(statistics.refused == 0 && statistics.malformed == 0);
}

/* Reads with this time-out. Whether there was a packet. */
static int read_one(const struct ipq_handle *h, int timeout, long *interrupted)
{
	ssize_t length;

	errno = 0;
	length = ipq_read(h, buffer, sizeof(buffer), timeout);
	if (length > 0)
		return 1;
	if (errno != EINTR) {
		/* The time is over, if there is one. */
		expect(length == 0 && errno == 0 && timeout != 0);
		return 0;
	}
	expect(timeout >= 0 && length == (timeout == 0 ? -1 : 0));
	++*interrupted;
	return 0;
}

int main(int argc, char **argv)
{
	static const int timeouts[] = { 0, -1, 1000, PATIENCE };
	long packets = 0, reads = 0, interrupted = 0, count;
	struct ipq_handle *h;

	if (argc != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	count = atol(argv[1]);
	bombard();
	open_and_close(50);
	h = open_queue(NFPROTO_IPV4, IPQ_COPY_PACKET, 0);
	puts("ready");
	while (packets < count)
		if (read_one(h, timeouts[reads++ % 4], &interrupted))
			accept_packet(h, packets++);
	for (interrupted = 0; interrupted == 0;)
		expect(!read_one(h, 0, &interrupted));
	for (interrupted = 0; interrupted == 0;)
		expect(!read_one(h, PATIENCE, &interrupted));
	close_queue(h);
	expect(signals > 0);
	printf("accepted %ld packets\n", packets);
	return 0;
}
