/*
 * Wants no more than 21 bytes of a packet: the IP header and one byte.
 *
 * COUNT: drops the COUNT packets that come.
 */
#include "program.h"

#define RANGE 21

int main(int argc, char **argv)
{
	unsigned char buffer[2048];
	struct ipq_handle *h;
	long count;

	if (argc != 2)
		return 2;
	begin();
	h = open_queue(NFPROTO_IPV4, IPQ_COPY_PACKET, RANGE);
	puts("ready");
	for (count = atol(argv[1]); count > 0; count--) {
		const ipq_packet_msg_t *packet = next_packet(h, buffer, sizeof(buffer));
		unsigned int whole = (unsigned int)packet->payload[2] << 8 | packet->payload[3];

		expect(packet->data_len == RANGE);
		printf("%zu of %u bytes\n", packet->data_len, whole);
		if (ipq_set_verdict(h, packet->packet_id, NF_DROP, 0, NULL) < 0)
			fail("ipq_set_verdict");
	}
	close_queue(h);
	return 0;
}
