/*
 * Brings a buffer that the messages do not fit into. What is behind it must not be touched, and the packets still wait for
 * their verdicts: the beginning of a message tells their ids.
 *
 * COUNT: accepts the COUNT packets that come.
 */
#include "program.h"

/* Room for what is known of a packet, and four bytes of it. */
#define SHORT (sizeof(struct nlmsghdr) + sizeof(ipq_packet_msg_t) + 4)
#define FENCE 0xa5

static unsigned char buffer[BUFFER_SIZE];

static void expect_untouched(size_t from)
{
	size_t i;

	for (i = from; i < sizeof(buffer); i++)
		expect(buffer[i] == FENCE);
}

int main(int argc, char **argv)
{
	const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)buffer;
	struct ipq_handle *h;
	long count;

	if (argc != 2)
		return 2;
	begin();
	memset(buffer, FENCE, sizeof(buffer));
	h = open_queue(NFPROTO_IPV4, IPQ_COPY_PACKET, 0);
	/* Too short for any message: refused before anything is read. */
	expect(ipq_read(h, buffer, sizeof(struct nlmsgerr) - 1, -1) == -1);
	printf("19 bytes: %s\n", ipq_errstr());
	expect_untouched(0);
	puts("ready");
	for (count = atol(argv[1]); count > 0; count--) {
		const ipq_packet_msg_t *packet;

		expect(ipq_read(h, buffer, SHORT, PATIENCE) == -1);
		expect_untouched(SHORT);
		packet = (const ipq_packet_msg_t *)(const void *)(buffer + sizeof(*header));
		expect(header->nlmsg_type == IPQM_PACKET && header->nlmsg_len > SHORT);
		printf("%zu bytes of packet: %s\n", packet->data_len, ipq_errstr());
		if (ipq_set_verdict(h, packet->packet_id, NF_ACCEPT, 0, NULL) < 0)
			fail("ipq_set_verdict");
	}
	/* None of the verdicts was refused. */
	expect(ipq_read(h, buffer, sizeof(buffer), -1) == 0);
	close_queue(h);
	return 0;
}
