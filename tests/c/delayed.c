/*
 * One thread reads, and others decide later and in another order, while it waits for more.
 *
 * COUNT: takes COUNT packets, hands them to threads in the opposite order, and drops every third one.
 */
#include "program.h"

#include <pthread.h>

#define THREADS 4
#define MOST 1024

static struct ipq_handle *h;
static ipq_id_t ids[MOST];
static long packets;

/* Packets below this are still to be decided: the last ones are decided first. */
static long undecided;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The number of a packet for this thread to decide, or -1. */
static long next_one(void)
{
	long number;

	pthread_mutex_lock(&lock);
	number = undecided > 0 ? --undecided : -1;
	pthread_mutex_unlock(&lock);
	return number;
}

static void *decide(void *unused)
{
	long number;

	(void)unused;
	while ((number = next_one()) >= 0) {
		unsigned int verdict = number % 3 == 2 ? NF_DROP : NF_ACCEPT;

		if (ipq_set_verdict(h, ids[number], verdict, 0, NULL) < 0)
			fail("ipq_set_verdict");
	}
	/* Errors are each thread's own. */
	expect(strcmp(ipq_errstr(), "Unknown error") == 0);
	expect(ipq_set_verdict(NULL, 0, NF_ACCEPT, 0, NULL) == -1);
	expect(strcmp(ipq_errstr(), "Implementation error") == 0);
	return NULL;
}

/* Waits all the time, while the others decide: nothing may come. */
static void *keep_reading(void *unused)
{
	unsigned char buffer[256];

	(void)unused;
	expect(ipq_read(h, buffer, sizeof(buffer), 300000) == 0);
	expect(strcmp(ipq_errstr(), "Timeout") == 0);
	return NULL;
}

int main(int argc, char **argv)
{
	static unsigned char buffer[BUFFER_SIZE];
	pthread_t reader, threads[THREADS];
	long number;
	int i;

	if (argc != 2 || (packets = atol(argv[1])) > MOST)
		return 2;
	begin();
	h = open_queue(NFPROTO_IPV4, IPQ_COPY_META, 0);
	puts("ready");
	for (number = 0; number < packets; number++)
		ids[number] = next_packet(h, buffer, sizeof(buffer))->packet_id;

	undecided = packets;
	expect(pthread_create(&reader, NULL, keep_reading, NULL) == 0);
	for (i = 0; i < THREADS; i++)
		expect(pthread_create(&threads[i], NULL, decide, NULL) == 0);
	for (i = 0; i < THREADS; i++)
		expect(pthread_join(threads[i], NULL) == 0);
	expect(pthread_join(reader, NULL) == 0);
	expect(strcmp(ipq_errstr(), "Unknown error") == 0);
	printf("decided %ld packets\n", packets);
	close_queue(h);
	return 0;
}
