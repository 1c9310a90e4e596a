/*
 * Decides on numbered datagrams, slower than they come: the end of each packet is a number of eight bytes, and one in
 * four is dropped. Ends when its standard input does, and then says what it has seen.
 *
 * RCVBUF FLAGS: the receive buffer and the flags of its options, as numbers.
 */
#include "program.h"

#include <poll.h>

static unsigned char buffer[BUFFER_SIZE];
static unsigned long accepted, dropped, overruns;

/* Some microseconds, on any machine. */
static void work(void)
{
	volatile uint32_t hash = 1;
	int i;

	for (i = 0; i < 4000; i++)
		hash = hash * 31 + 7;
}

static unsigned int verdict(const ipq_packet_msg_t *packet)
{
	const unsigned char *end = packet->payload + packet->data_len;

	/* Those with the highest bit mark the end of the flood. */
	return (end[-8] & 0x80) == 0 && (end[-1] & 3) == 3 ? NF_DROP : NF_ACCEPT;
}

static void decide(const struct ipq_handle *h)
{
	const ipq_packet_msg_t *packet = ipq_get_packet(buffer);
	unsigned int decided;

	expect(packet && packet->data_len >= 8);
	work();
	decided = verdict(packet);
	expect(ipq_set_verdict(h, packet->packet_id, decided, 0, NULL) > 0);
	if (decided == NF_ACCEPT)
		accepted++;
	else
		dropped++;
}

int main(int argc, char **argv)
{
	struct ipq_options options = IPQ_OPTIONS_INIT;
	struct ipq_handle *h;
	struct pollfd descriptors[2];

	if (argc != 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	options.rcvbuf = (uint32_t)strtoul(argv[1], NULL, 0);
	options.flags = (uint32_t)strtoul(argv[2], NULL, 0);
	h = ipq_create_handle_with(NFPROTO_IPV4, &options);
	if (!h)
		fail("ipq_create_handle_with");
	if (ipq_set_mode(h, IPQ_COPY_PACKET, 0) < 0)
		fail("ipq_set_mode");
	descriptors[0].fd = h->fd;
	descriptors[1].fd = STDIN_FILENO;
	descriptors[0].events = descriptors[1].events = POLLIN;
	puts("ready");
	for (;;) {
		ssize_t length;

		expect(poll(descriptors, 2, -1) > 0);
		if (descriptors[1].revents)
			break;
		length = ipq_read(h, buffer, sizeof(buffer), -1);
		if (length > 0)
			decide(h);
		else if (length < 0 && errno == ENOBUFS)
			overruns++;
		else
			expect(length == 0);
	}
	printf("accepted %lu dropped %lu overruns %lu\n", accepted, dropped, overruns);
	close_queue(h);
	return 0;
}
