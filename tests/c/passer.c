/*
 * Accepts packets, and uses every function of the library on the way.
 *
 * FAMILY COUNT: accepts COUNT packets of FAMILY, 4 or 6.
 */
#include "program.h"

static const char *hook_name(unsigned int hook)
{
	static const char *const names[] = { "PRE_ROUTING", "LOCAL_IN", "FORWARD", "LOCAL_OUT",
					     "POST_ROUTING" };

	return hook < sizeof(names) / sizeof(names[0]) ? names[hook] : "?";
}

static void print_packet(const ipq_packet_msg_t *packet)
{
	printf("packet %s in=%s out=%s protocol=%04x mark=%lu bytes=%zu version=%d\n",
	       hook_name(packet->hook), packet->indev_name, packet->outdev_name,
	       (unsigned int)(packet->hw_protocol >> 8 | (packet->hw_protocol & 0xff) << 8),
	       packet->mark, packet->data_len, packet->payload[0] >> 4);
}

/* What is sent is as long as a header and what follows it. */
static void accept_packet(const struct ipq_handle *h, const ipq_packet_msg_t *packet)
{
	int sent = ipq_set_verdict(h, packet->packet_id, NF_ACCEPT, 0, NULL);

	if (sent < 0)
		fail("ipq_set_verdict");
	expect(sent == (int)(sizeof(struct nlmsghdr) + sizeof(ipq_peer_msg_t)));
}

/* The kernel's answer to a verdict over no packet comes as a message among the others. */
static void ask_for_an_error(const struct ipq_handle *h, unsigned char *buffer)
{
	expect(ipq_set_verdict(h, 0x12345, NF_ACCEPT, 0, NULL) > 0);
	expect(ipq_read(h, buffer, BUFFER_SIZE, PATIENCE) > 0);
	expect(ipq_message_type(buffer) == NLMSG_ERROR);
	expect(!ipq_get_packet(buffer));
	printf("refused: %s\n", strerror(ipq_get_msgerr(buffer)));
}

int main(int argc, char **argv)
{
	static unsigned char buffer[BUFFER_SIZE];
	struct ipq_handle *h;
	long packets;

	if (argc != 3)
		return 2;
	begin();
	h = open_queue(protocol_of(argv[1]), IPQ_COPY_PACKET, BUFFER_SIZE);
	expect(h->local.nl_family == AF_NETLINK && h->local.nl_pid == (uint32_t)getpid());
	expect(h->peer.nl_family == AF_NETLINK && h->peer.nl_pid == 0);
	expect(ipq_ctl(h, 1, "anything") == 1);

	ask_for_an_error(h, buffer);
	/* Whoever reads this knows that packets are welcome. */
	puts("ready");
	for (packets = atol(argv[2]); packets > 0; packets--) {
		const ipq_packet_msg_t *packet = next_packet(h, buffer, BUFFER_SIZE);

		print_packet(packet);
		accept_packet(h, packet);
	}

	errno = 0;
	expect(ipq_read(h, buffer, BUFFER_SIZE, -1) == 0 && errno == 0);
	printf("read at once: %s\n", ipq_errstr());
	expect(ipq_read(h, buffer, BUFFER_SIZE, 1000) == 0 && errno == 0);
	printf("read in 1000 microseconds: %s\n", ipq_errstr());
	ipq_perror("passer");
	close_queue(h);
	puts("done");
	return 0;
}
