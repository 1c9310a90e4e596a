/*
 * Forks again and again while threads are inside the library all the time. A child uses what it has inherited: no lock may
 * be left with a thread that it has not got. No packets are wanted.
 *
 * COUNT: how often it forks.
 */
#include "program.h"

#include <pthread.h>
#include <sys/wait.h>

#define THREADS 2

static struct ipq_handle *h;
static volatile int is_over;

/* Verdicts over no packet, and the kernel's answers; where there are too many, the last ones are lost. */
static void *keep_busy(void *unused)
{
	static __thread unsigned char buffer[256];

	(void)unused;
	while (!is_over) {
		expect(ipq_set_verdict(h, 1, NF_ACCEPT, 0, NULL) > 0);
		expect(ipq_read(h, buffer, sizeof(buffer), -1) >= 0 || errno == ENOBUFS);
	}
	return NULL;
}

static int child(void)
{
	unsigned char buffer[256];

	alarm(PATIENCE / 1000000);
	expect(ipq_set_verdict(h, 1, NF_ACCEPT, 0, NULL) > 0);
	expect(ipq_read(h, buffer, sizeof(buffer), -1) >= 0 || errno == ENOBUFS);
	close_queue(h);
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	long i, count;

	if (argc != 2)
		return 2;
	begin();
	count = atol(argv[1]);
	h = open_queue(NFPROTO_IPV4, IPQ_COPY_META, 0);
	for (i = 0; i < THREADS; i++)
		expect(pthread_create(&threads[i], NULL, keep_busy, NULL) == 0);
	for (i = 0; i < count; i++) {
		pid_t process = fork();
		int status;

		expect(process >= 0);
		if (process == 0)
			_exit(child());
		expect(waitpid(process, &status, 0) == process && status == 0);
	}
	is_over = 1;
	for (i = 0; i < THREADS; i++)
		expect(pthread_join(threads[i], NULL) == 0);
	close_queue(h);
	printf("%ld children\n", count);
	return 0;
}
