/*
 * The limit: the system calls alone, and next to nothing between them.
 *
 * With BATCH 1, recv and one verdict for each packet. With more, recvmmsg for that many messages at most, and one
 * verdict for all it returned. It waits for the first only, so no verdict is held while waiting for packets.
 */
#define _GNU_SOURCE
#include "receiver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The largest packet and room for what comes with it; not a multiple of a page, for the sake of the cache. */
#define BUFFER_SIZE (0xffff + 1 + 4096 + 448)
#define BATCH_MAX 256

/* The start of every message of nfnetlink. */
struct head {
	struct nlmsghdr netlink;
	struct nfgenmsg netfilter;
};

/* A packet, as far as it is looked at: its number comes first. */
struct packet {
	struct head head;
	struct nlattr attribute;
	struct nfqnl_msg_packet_hdr header;
};

struct verdict {
	struct head head;
	struct nlattr attribute;
	struct nfqnl_msg_verdict_hdr header;
};

struct word {
	struct nlattr attribute;
	uint32_t value;
};

/* All of the configuration in one message. */
struct config {
	struct head head;
	struct nlattr command_attribute;
	struct nfqnl_msg_config_cmd command;
	struct nlattr mode_attribute;
	struct nfqnl_msg_config_params mode;
	uint8_t padding[3];
	struct word maxlen;
	struct word mask;
	struct word flags;
} __attribute__((packed));

static uint64_t packets;

static struct head head(uint16_t queue, uint16_t type, uint16_t flags, size_t length)
{
	return (struct head){
		.netlink = {
			.nlmsg_len = (uint32_t)length,
			.nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | type,
			.nlmsg_flags = NLM_F_REQUEST | flags,
		},
		.netfilter = { .version = NFNETLINK_V0, .res_id = htons(queue) },
	};
}

static struct nlattr attribute(uint16_t type, size_t length)
{
	return (struct nlattr){ .nla_len = (uint16_t)(NLA_HDRLEN + length), .nla_type = type };
}

static struct word word(uint16_t type, uint32_t value)
{
	return (struct word){ attribute(type, sizeof(value)), htonl(value) };
}

static void configure(int fd, const struct options *options)
{
	struct config config = {
		.head = head(options->queue, NFQNL_MSG_CONFIG, NLM_F_ACK, sizeof(config)),
		.command_attribute = attribute(NFQA_CFG_CMD, sizeof(config.command)),
		.command = { .command = NFQNL_CFG_CMD_BIND },
		.mode_attribute = attribute(NFQA_CFG_PARAMS, sizeof(config.mode)),
		.mode = { .copy_range = htonl(0xffff), .copy_mode = NFQNL_COPY_PACKET },
		.maxlen = word(NFQA_CFG_QUEUE_MAXLEN, options->maxlen),
		.mask = word(NFQA_CFG_MASK, NFQA_CFG_F_GSO),
		.flags = word(NFQA_CFG_FLAGS, options->gso ? NFQA_CFG_F_GSO : 0),
	};
	struct {
		struct nlmsghdr netlink;
		struct nlmsgerr error;
	} answer;

	if (send(fd, &config, sizeof(config), 0) < 0)
		receiver_fail("send");
	if (recv(fd, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer))
		receiver_fail("recv");
	if (answer.netlink.nlmsg_type != NLMSG_ERROR) {
		fputs("the answer is no acknowledgement\n", stderr);
		exit(1);
	}
	errno = -answer.error.error;
	if (errno)
		receiver_fail("configuring the queue");
}

static int open_queue(const struct options *options)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		receiver_fail("netlink socket");
	receiver_prepare(fd, options);
	configure(fd, options);
	return fd;
}

/* The packet's number, as it is sent; false if this is no packet. */
static bool packet_id(const void *buffer, size_t length, __be32 *id)
{
	const struct packet *packet = buffer;

	if (length < sizeof(*packet) ||
	    packet->head.netlink.nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET) ||
	    packet->attribute.nla_type != NFQA_PACKET_HDR)
		return false;
	*id = packet->header.packet_id;
	return true;
}

static struct verdict accept_message(uint16_t queue, uint16_t type)
{
	return (struct verdict){
		.head = head(queue, type, 0, sizeof(struct verdict)),
		.attribute = attribute(NFQA_VERDICT_HDR, sizeof(struct nfqnl_msg_verdict_hdr)),
		.header = { .verdict = htonl(NF_ACCEPT) },
	};
}

static bool is_passing(int error)
{
	return error == EINTR || error == ENOBUFS;
}

/* A packet and its verdict, over and over. */
static _Noreturn void one_by_one(int fd, uint16_t queue)
{
	struct verdict verdict = accept_message(queue, NFQNL_MSG_VERDICT);
	static char buffer[BUFFER_SIZE] __attribute__((aligned));

	for (;;) {
		ssize_t length = recv(fd, buffer, sizeof(buffer), 0);

		receiver_tick(packets);
		if (length < 0) {
			if (!is_passing(errno))
				receiver_fail("recv");
			continue;
		}
		if (!packet_id(buffer, (size_t)length, &verdict.header.id))
			continue;
		packets++;
		if (send(fd, &verdict, sizeof(verdict), 0) < 0)
			receiver_fail("send");
	}
}

static struct mmsghdr messages[BATCH_MAX];
static struct iovec vectors[BATCH_MAX];

static void make_room(unsigned int batch)
{
	char *room = aligned_alloc(64, (size_t)batch * BUFFER_SIZE);

	if (!room)
		receiver_fail("aligned_alloc");
	for (unsigned int i = 0; i < batch; i++) {
		vectors[i] = (struct iovec){ room + (size_t)i * BUFFER_SIZE, BUFFER_SIZE };
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
}

/* What is there and one verdict for all of it, over and over. */
static _Noreturn void batched(int fd, uint16_t queue, unsigned int batch)
{
	struct verdict verdict = accept_message(queue, NFQNL_MSG_VERDICT_BATCH);

	make_room(batch);
	for (;;) {
		int received = recvmmsg(fd, messages, batch, MSG_WAITFORONE, NULL);
		uint64_t before = packets;

		receiver_tick(packets);
		if (received < 0 && !is_passing(errno))
			receiver_fail("recvmmsg");
		for (int i = 0; i < received; i++)
			packets += packet_id(vectors[i].iov_base, messages[i].msg_len,
					     &verdict.header.id);
		if (packets != before && send(fd, &verdict, sizeof(verdict), 0) < 0)
			receiver_fail("send");
	}
}

int main(int argc, char **argv)
{
	struct options options = receiver_options(argc, argv);
	int fd;

	if (options.batch < 1 || options.batch > BATCH_MAX) {
		fprintf(stderr, "BATCH must be from 1 to %d\n", BATCH_MAX);
		return 2;
	}
	fd = open_queue(&options);
	receiver_ready();
	if (options.batch == 1)
		one_by_one(fd, options.queue);
	batched(fd, options.queue, options.batch);
}
