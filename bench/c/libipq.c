/*
 * A program of libipq, as its manual has it: read a packet, accept it. Its queue has the options that all receivers have,
 * for which it needs a function that the original has not.
 */
#include "receiver.h"

#include <libipq.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned char buffer[0xffff + 1 + 256];

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "%s\n", ipq_errdetail());
	ipq_perror(what);
	exit(1);
}

static struct ipq_handle *open_queue(const struct options *options)
{
	struct ipq_options wanted = IPQ_OPTIONS_INIT;
	struct ipq_handle *h;

	wanted.transport = "nfqueue:0";
	wanted.queue = options->queue;
	wanted.maxlen = options->maxlen;
	wanted.rcvbuf = (uint32_t)options->rcvbuf;
	wanted.flags = IPQ_OPTION_NO_ENOBUFS;
	h = ipq_create_handle_with(NFPROTO_IPV4, &wanted);
	if (!h)
		fail("ipq_create_handle_with");
	if (ipq_set_mode(h, IPQ_COPY_PACKET, 0) < 0)
		fail("ipq_set_mode");
	return h;
}

int main(int argc, char **argv)
{
	struct options options = receiver_options(argc, argv);
	struct ipq_handle *h = open_queue(&options);
	uint64_t packets = 0;

	receiver_ready();
	for (;;) {
		const ipq_packet_msg_t *packet;

		if (ipq_read(h, buffer, sizeof(buffer), 0) <= 0)
			fail("ipq_read");
		receiver_tick(packets);
		if (ipq_message_type(buffer) != IPQM_PACKET)
			continue;
		packet = ipq_get_packet(buffer);
		packets++;
		if (ipq_set_verdict(h, packet->packet_id, NF_ACCEPT, 0, NULL) < 0)
			fail("ipq_set_verdict");
	}
}
