/*
 * Accepts packets until no more can come, which only a simulated kernel says.
 *
 * FAMILY: 4 or 6.
 */
#include "program.h"

int main(int argc, char **argv)
{
	static unsigned char buffer[BUFFER_SIZE];
	struct ipq_handle *h;
	long packets = 0;

	if (argc != 2)
		return 2;
	begin();
	h = open_queue(protocol_of(argv[1]), IPQ_COPY_PACKET, 0);
	while (ipq_read(h, buffer, sizeof(buffer), 0) > 0) {
		const ipq_packet_msg_t *packet = ipq_get_packet(buffer);

		expect(packet && packet->data_len > 0);
		if (ipq_set_verdict(h, packet->packet_id, NF_ACCEPT, 0, NULL) < 0)
			fail("ipq_set_verdict");
		packets++;
	}
	printf("%ld packets, %s\n", packets, ipq_errstr());
	close_queue(h);
	return 0;
}
