/*
 * Decides on packets, and counts what it and the library allocate for them.
 *
 * FAMILY COUNT: takes COUNT packets of FAMILY, 4 or 6, once to warm up and once to be counted.
 */
#include "allocations.h"

#include "program.h"

/* One in three passes, one is dropped, one is replaced by itself. */
static void take_packets(const struct ipq_handle *h, unsigned char *buffer, long packets)
{
	for (long packet = 0; packet < packets; packet++) {
		ipq_packet_msg_t *next = next_packet(h, buffer, BUFFER_SIZE);
		unsigned int verdict = packet % 3 == 1 ? NF_DROP : NF_ACCEPT;
		size_t length = packet % 3 == 2 ? next->data_len : 0;

		expect(ipq_set_verdict(h, next->packet_id, verdict, length, next->payload) > 0);
	}
	/* Nothing more is there, and there is none for so long. */
	expect(ipq_read(h, buffer, BUFFER_SIZE, -1) == 0);
	expect(ipq_read(h, buffer, BUFFER_SIZE, 1000) == 0);
}

int main(int argc, char **argv)
{
	static unsigned char buffer[BUFFER_SIZE];
	struct ipq_handle *h;
	unsigned long before;

	if (argc != 3)
		return 2;
	begin();
	h = open_queue(protocol_of(argv[1]), IPQ_COPY_PACKET, BUFFER_SIZE);
	puts("ready");
	take_packets(h, buffer, atol(argv[2]));
	puts("warm");
	before = allocations();
	take_packets(h, buffer, atol(argv[2]));
	printf("allocated %lu times\n", allocations() - before);
	/* Otherwise what was counted would prove nothing. */
	expect(before > 0);
	close_queue(h);
	return 0;
}
