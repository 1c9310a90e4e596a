/*
 * A program of libmnl, with the messages made by the helpers of libnetfilter_queue: configuration with acknowledgements,
 * NETLINK_NO_ENOBUFS, flags, a verdict for each packet; and a request to another subsystem of netfilter.
 *
 * mnl [QUEUE [COUNT]]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>

static struct mnl_socket *nl;
static char buffer[0xffff + 4096];
static unsigned int port, number;
static long packets;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct nlmsghdr *request(int type)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *message;

	header->nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) | type;
	header->nlmsg_flags = NLM_F_REQUEST;
	message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	message->nfgen_family = AF_UNSPEC;
	message->version = NFNETLINK_V0;
	message->res_id = htons(number);
	return header;
}

static void send_request(struct nlmsghdr *header)
{
	if (mnl_socket_sendto(nl, header, header->nlmsg_len) < 0)
		die("mnl_socket_sendto");
}

/* What the acknowledgement of a request says: 0 or a negative error number. */
static int acknowledged(struct nlmsghdr *header)
{
	ssize_t got;

	header->nlmsg_flags |= NLM_F_ACK;
	header->nlmsg_seq = time(NULL);
	send_request(header);
	got = mnl_socket_recvfrom(nl, buffer, sizeof(buffer));
	if (got < 0)
		die("mnl_socket_recvfrom");
	header = (struct nlmsghdr *)buffer;
	if (header->nlmsg_type != NLMSG_ERROR || header->nlmsg_pid != port)
		die("no acknowledgement");
	return ((struct nlmsgerr *)mnl_nlmsg_get_payload(header))->error;
}

static int on_packet(const struct nlmsghdr *header, void *unused)
{
	struct nlattr *attributes[NFQA_MAX + 1] = {};
	struct nfqnl_msg_packet_hdr *packet;
	struct nlmsghdr *verdict;
	unsigned int id;

	(void)unused;
	if (nfq_nlmsg_parse(header, attributes) < 0)
		die("nfq_nlmsg_parse");
	packet = mnl_attr_get_payload(attributes[NFQA_PACKET_HDR]);
	id = ntohl(packet->packet_id);
	packets++;
	printf("packet %u hook %u length %u\n", id, packet->hook, mnl_attr_get_payload_len(attributes[NFQA_PAYLOAD]));
	verdict = request(NFQNL_MSG_VERDICT);
	nfq_nlmsg_verdict_put(verdict, id, NF_ACCEPT);
	send_request(verdict);
	return MNL_CB_OK;
}

int main(int argc, char **argv)
{
	static char incoming[0xffff + 4096];
	struct nlmsghdr *header;
	long count = argc > 2 ? atol(argv[2]) : 10;
	int one = 1;

	number = argc > 1 ? atoi(argv[1]) : 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	nl = mnl_socket_open(NETLINK_NETFILTER);
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		die("mnl_socket_open");
	port = mnl_socket_get_portid(nl);

	header = request(NFQNL_MSG_CONFIG);
	nfq_nlmsg_cfg_put_cmd(header, AF_INET, NFQNL_CFG_CMD_BIND);
	printf("bind: %d\n", acknowledged(header));
	header = request(NFQNL_MSG_CONFIG);
	nfq_nlmsg_cfg_put_cmd(header, AF_INET, NFQNL_CFG_CMD_BIND);
	printf("bind again: %d\n", acknowledged(header));
	header = request(NFQNL_MSG_CONFIG);
	header->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET;
	printf("conntrack: %s\n", acknowledged(header) == -EOPNOTSUPP ? "not here" : "here");
	header = request(NFQNL_MSG_CONFIG);
	nfq_nlmsg_cfg_put_params(header, NFQNL_COPY_PACKET, 0xffff);
	mnl_attr_put_u32(header, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_UID_GID));
	mnl_attr_put_u32(header, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_UID_GID));
	send_request(header);
	if (mnl_socket_setsockopt(nl, NETLINK_NO_ENOBUFS, &one, sizeof(one)) < 0)
		die("mnl_socket_setsockopt");
	while (packets < count) {
		ssize_t got = mnl_socket_recvfrom(nl, incoming, sizeof(incoming));

		if (got < 0)
			die("mnl_socket_recvfrom");
		if (mnl_cb_run(incoming, got, 0, port, on_packet, NULL) < 0)
			die("mnl_cb_run");
	}
	mnl_socket_close(nl);
	printf("packets %ld\n", packets);
	return 0;
}
