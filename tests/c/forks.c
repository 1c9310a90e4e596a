/*
 * Forks after the queue is open. The parent reads, the child decides on what it is told of; then the child reads and
 * decides alone, while the parent has gone on.
 *
 * COUNT: COUNT packets go each way.
 */
#include "program.h"

#include <sys/wait.h>

static unsigned char buffer[BUFFER_SIZE];

static void accept_id(const struct ipq_handle *h, ipq_id_t id)
{
	if (ipq_set_verdict(h, id, NF_ACCEPT, 0, NULL) < 0)
		fail("ipq_set_verdict");
}

static int child(struct ipq_handle *h, int told, int tells, long count)
{
	ipq_id_t id;
	long i;

	for (i = 0; i < count; i++) {
		expect(read(told, &id, sizeof(id)) == (ssize_t)sizeof(id));
		accept_id(h, id);
	}
	printf("child: %ld verdicts over packets that the parent read\n", count);
	fflush(stdout);
	expect(write(tells, "x", 1) == 1);
	for (i = 0; i < count; i++)
		accept_id(h, next_packet(h, buffer, sizeof(buffer))->packet_id);
	printf("child: %ld packets of its own\n", count);
	/* The parent's is not closed by this. */
	close_queue(h);
	return 0;
}

int main(int argc, char **argv)
{
	int to_child[2], from_child[2], status;
	struct ipq_handle *h;
	long i, count;
	pid_t process;
	char token;

	if (argc != 2)
		return 2;
	begin();
	count = atol(argv[1]);
	expect(pipe(to_child) == 0 && pipe(from_child) == 0);
	h = open_queue(NFPROTO_IPV4, IPQ_COPY_META, 0);
	process = fork();
	expect(process >= 0);
	if (process == 0)
		return child(h, to_child[0], from_child[1], count);

	puts("ready");
	for (i = 0; i < count; i++) {
		ipq_id_t id = next_packet(h, buffer, sizeof(buffer))->packet_id;

		expect(write(to_child[1], &id, sizeof(id)) == (ssize_t)sizeof(id));
	}
	expect(read(from_child[0], &token, 1) == 1);
	puts("again");
	expect(waitpid(process, &status, 0) == process && status == 0);

	/* The queue is still this process's. */
	puts("once more");
	accept_id(h, next_packet(h, buffer, sizeof(buffer))->packet_id);
	close_queue(h);
	puts("done");
	return 0;
}
