/*
 * One loop over both families: two handles, and select on their descriptors.
 *
 * COUNT: accepts packets until COUNT have come of each family.
 */
#include "program.h"

#include <sys/select.h>

struct side {
	const char *name;
	struct ipq_handle *h;
	long packets;
};

static void take_one(struct side *side)
{
	static unsigned char buffer[BUFFER_SIZE];
	const ipq_packet_msg_t *packet = next_packet(side->h, buffer, sizeof(buffer));

	if (ipq_set_verdict(side->h, packet->packet_id, NF_ACCEPT, 0, NULL) < 0)
		fail("ipq_set_verdict");
	side->packets++;
}

int main(int argc, char **argv)
{
	struct side sides[2] = { { "IPv4", NULL, 0 }, { "IPv6", NULL, 0 } };
	long wanted;
	int i;

	if (argc != 2)
		return 2;
	begin();
	wanted = atol(argv[1]);
	sides[0].h = open_queue(NFPROTO_IPV4, IPQ_COPY_META, 0);
	sides[1].h = open_queue(NFPROTO_IPV6, IPQ_COPY_META, 0);
	/* There is one of each family in a process. */
	expect(!ipq_create_handle(0, NFPROTO_IPV4) && errno == EADDRINUSE);
	printf("a second one: %s\n", ipq_errstr());
	puts("ready");

	while (sides[0].packets < wanted || sides[1].packets < wanted) {
		struct timeval patience = { PATIENCE / 1000000, 0 };
		fd_set readable;
		int highest = 0;

		FD_ZERO(&readable);
		for (i = 0; i < 2; i++) {
			expect(sides[i].h->fd < FD_SETSIZE);
			FD_SET(sides[i].h->fd, &readable);
			if (sides[i].h->fd > highest)
				highest = sides[i].h->fd;
		}
		expect(select(highest + 1, &readable, NULL, NULL, &patience) > 0);
		for (i = 0; i < 2; i++) {
			if (FD_ISSET(sides[i].h->fd, &readable))
				take_one(&sides[i]);
		}
	}
	for (i = 0; i < 2; i++) {
		printf("%s: %ld packets\n", sides[i].name, sides[i].packets);
		close_queue(sides[i].h);
	}
	return 0;
}
