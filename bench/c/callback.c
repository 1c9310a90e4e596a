/*
 * A receiver over libnetfilter_queue, with its callback and one verdict for each packet.
 */
#include "receiver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdio.h>
#include <sys/socket.h>

/* The largest packet, and room for what comes with it. */
static char buffer[0xffff + 4096] __attribute__((aligned));

static uint64_t packets;

static int accept_packet(struct nfq_q_handle *queue, struct nfgenmsg *message,
			 struct nfq_data *data, void *unused)
{
	struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(data);

	(void)message;
	(void)unused;
	packets++;
	return nfq_set_verdict(queue, ntohl(header->packet_id), NF_ACCEPT, 0, NULL);
}

static struct nfq_handle *open_queue(const struct options *options)
{
	struct nfq_handle *handle = nfq_open();
	struct nfq_q_handle *queue;

	if (!handle)
		receiver_fail("nfq_open");
	if (nfq_bind_pf(handle, AF_INET) < 0)
		receiver_fail("nfq_bind_pf");
	queue = nfq_create_queue(handle, options->queue, accept_packet, NULL);
	if (!queue)
		receiver_fail("nfq_create_queue");
	receiver_prepare(nfq_fd(handle), options);
	if (nfq_set_queue_maxlen(queue, options->maxlen) < 0)
		receiver_fail("nfq_set_queue_maxlen");
	if (options->gso && nfq_set_queue_flags(queue, NFQA_CFG_F_GSO, NFQA_CFG_F_GSO) < 0)
		receiver_fail("nfq_set_queue_flags");
	if (nfq_set_mode(queue, NFQNL_COPY_PACKET, 0xffff) < 0)
		receiver_fail("nfq_set_mode");
	return handle;
}

int main(int argc, char **argv)
{
	struct options options = receiver_options(argc, argv);
	struct nfq_handle *handle = open_queue(&options);

	receiver_ready();
	for (;;) {
		ssize_t length = recv(nfq_fd(handle), buffer, sizeof(buffer), 0);

		receiver_tick(packets);
		if (length >= 0)
			nfq_handle_packet(handle, buffer, (int)length);
		else if (errno != EINTR && errno != ENOBUFS)
			receiver_fail("recv");
	}
}
