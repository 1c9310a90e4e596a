/*
 * Speaks ip_queue without libipq: no bind, structures of its own, sendto, recv and epoll.
 *
 * FAMILY COUNT: accepts COUNT packets of FAMILY, 4 or 6.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MODE = 0x11, VERDICT = 0x12, PACKET = 0x13 };

struct mode_request {
	struct nlmsghdr header;
	uint8_t mode;
	size_t range;
	size_t rest_of_union;
};

struct verdict_request {
	struct nlmsghdr header;
	uint32_t verdict;
	unsigned long id;
	size_t replacement_length;
};

struct packet_message {
	struct nlmsghdr header;
	unsigned long id;
	unsigned long mark;
	long seconds, microseconds;
	uint32_t hook;
	char input[16], output[16];
	uint16_t protocol, hardware_type;
	uint8_t address_length, address[8];
	size_t length;
};

static union {
	struct nlmsghdr header;
	struct packet_message packet;
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} refusal;
	unsigned char bytes[65536 + 256];
} message;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void send_request(int fd, struct nlmsghdr *header, size_t length, uint16_t type)
{
	struct sockaddr_nl kernel;

	memset(&kernel, 0, sizeof(kernel));
	kernel.nl_family = AF_NETLINK;
	header->nlmsg_len = (uint32_t)length;
	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST;
	header->nlmsg_pid = (uint32_t)getpid();
	if (sendto(fd, header, length, 0, (struct sockaddr *)&kernel, sizeof(kernel)) !=
	    (ssize_t)length)
		fail("sendto");
}

static void ask_for_packets(int fd)
{
	struct mode_request request;

	memset(&request, 0, sizeof(request));
	request.mode = 2;
	send_request(fd, &request.header, sizeof(request), MODE);
}

static void accept_packet(int fd, unsigned long id)
{
	struct verdict_request request;

	memset(&request, 0, sizeof(request));
	request.verdict = 1;
	request.id = id;
	send_request(fd, &request.header, sizeof(request), VERDICT);
}

/* Takes one message; returns how many packets it was. */
static int take_one(int fd)
{
	ssize_t length = recv(fd, &message, sizeof(message), 0);

	if (length < (ssize_t)sizeof(message.header))
		fail("recv");
	if (message.header.nlmsg_type == NLMSG_ERROR) {
		errno = -message.refusal.error.error;
		fail("the kernel");
	}
	if (message.header.nlmsg_type != PACKET)
		return 0;
	printf("packet hook=%u in=%s out=%s bytes=%zu\n", message.packet.hook,
	       message.packet.input, message.packet.output, message.packet.length);
	accept_packet(fd, message.packet.id);
	return 1;
}

int main(int argc, char **argv)
{
	struct epoll_event event = { EPOLLIN, { NULL } };
	int fd, epoll;
	long packets;

	if (argc != 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = socket(AF_NETLINK, SOCK_RAW, strcmp(argv[1], "6") == 0 ? 13 : 3);
	if (fd < 0)
		fail("socket");
	epoll = epoll_create1(0);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("epoll");
	ask_for_packets(fd);
	puts("ready");
	for (packets = atol(argv[2]); packets > 0;) {
		if (epoll_wait(epoll, &event, 1, 20000) != 1)
			fail("epoll_wait");
		packets -= take_one(fd);
	}
	puts("done");
	return 0;
}
