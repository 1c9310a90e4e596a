/*
 * An old program: one that was linked statically with its library, of which the few calls that it needs are here, over plain
 * netlink. Both families in one select loop; every third packet gets its bytes back as a replacement.
 *
 * old [COUNT]
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ip_queue.h"

struct handle {
	int fd;
	uint8_t blocking;
	struct sockaddr_nl local;
	struct sockaddr_nl peer;
};

static const char *problem = "Unknown error";

static struct handle *create_handle(int protocol)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->fd = socket(PF_NETLINK, SOCK_RAW, protocol);
	if (h->fd < 0) {
		problem = "Unable to create netlink socket";
		free(h);
		return NULL;
	}
	h->local.nl_family = AF_NETLINK;
	h->local.nl_pid = getpid();
	h->peer.nl_family = AF_NETLINK;
	if (bind(h->fd, (struct sockaddr *)&h->local, sizeof(h->local)) < 0) {
		problem = "Unable to bind netlink socket";
		close(h->fd);
		free(h);
		return NULL;
	}
	return h;
}

static void destroy_handle(struct handle *h)
{
	close(h->fd);
	free(h);
}

static ssize_t send_to_kernel(const struct handle *h, const void *data, size_t len)
{
	ssize_t sent = sendto(h->fd, data, len, 0, (struct sockaddr *)&h->peer, sizeof(h->peer));

	if (sent != (ssize_t)len)
		problem = "Failed to send netlink message";
	return sent;
}

static int set_mode(const struct handle *h, uint8_t mode, size_t range)
{
	struct {
		struct nlmsghdr header;
		union peer_message body;
	} request;

	memset(&request, 0, sizeof(request));
	request.header.nlmsg_len = sizeof(request);
	request.header.nlmsg_flags = NLM_F_REQUEST;
	request.header.nlmsg_type = IPQM_MODE;
	request.header.nlmsg_pid = h->local.nl_pid;
	request.body.mode.value = mode;
	request.body.mode.range = range;
	return send_to_kernel(h, &request, sizeof(request));
}

static ssize_t read_message(const struct handle *h, unsigned char *buffer, size_t size, long timeout)
{
	struct sockaddr_nl from;
	socklen_t len = sizeof(from);
	struct timeval limit = { timeout / 1000000, timeout % 1000000 };
	fd_set set;
	ssize_t got;

	if (timeout) {
		FD_ZERO(&set);
		FD_SET(h->fd, &set);
		got = select(h->fd + 1, &set, NULL, NULL, timeout < 0 ? NULL : &limit);
		if (got <= 0) {
			problem = "Timeout";
			return got < 0 && errno != EINTR ? -1 : 0;
		}
	}
	got = recvfrom(h->fd, buffer, size, 0, (struct sockaddr *)&from, &len);
	if (got < 0) {
		problem = "Failed to receive netlink message";
		return -1;
	}
	if (len != sizeof(from) || from.nl_pid != 0) {
		problem = "Invalid peer address length";
		return -1;
	}
	if (got == 0 || ((struct nlmsghdr *)buffer)->nlmsg_len > (size_t)got) {
		problem = "Received message truncated";
		return -1;
	}
	return got;
}

static int set_verdict(const struct handle *h, unsigned long id, unsigned int verdict, size_t len, const void *data)
{
	static unsigned char request[70000];
	struct nlmsghdr *header = (struct nlmsghdr *)request;
	struct verdict_message *body = (struct verdict_message *)(header + 1);

	memset(request, 0, sizeof(*header) + sizeof(*body));
	header->nlmsg_len = sizeof(*header) + sizeof(*body) + len;
	header->nlmsg_flags = NLM_F_REQUEST;
	header->nlmsg_type = IPQM_VERDICT;
	header->nlmsg_pid = h->local.nl_pid;
	body->value = verdict;
	body->id = id;
	body->data_len = len;
	memcpy(body->payload, data, len);
	return send_to_kernel(h, request, header->nlmsg_len);
}

static void die(void)
{
	fprintf(stderr, "old: %s: %s\n", problem, strerror(errno));
	exit(1);
}

int main(int argc, char **argv)
{
	static unsigned char buffer[70000];
	struct handle *handles[2];
	long count = argc > 1 ? atol(argv[1]) : 10, packets[2] = { 0, 0 }, replaced = 0;
	int i, largest = 0;

	handles[0] = create_handle(FIREWALL);
	handles[1] = create_handle(IP6_FW);
	for (i = 0; i < 2; i++) {
		if (!handles[i] || set_mode(handles[i], COPY_PACKET, 0xffff) < 0)
			die();
		if (handles[i]->fd > largest)
			largest = handles[i]->fd;
	}
	while (packets[0] + packets[1] < count) {
		fd_set set;

		FD_ZERO(&set);
		FD_SET(handles[0]->fd, &set);
		FD_SET(handles[1]->fd, &set);
		if (select(largest + 1, &set, NULL, NULL, NULL) < 0)
			die();
		for (i = 0; i < 2; i++) {
			struct nlmsghdr *header = (struct nlmsghdr *)buffer;
			struct packet_message *packet = (struct packet_message *)(header + 1);
			int replaces;

			if (!FD_ISSET(handles[i]->fd, &set))
				continue;
			if (read_message(handles[i], buffer, sizeof(buffer), i ? 0 : 1000000) <= 0)
				die();
			if (header->nlmsg_type == NLMSG_ERROR) {
				errno = -((struct nlmsgerr *)NLMSG_DATA(header))->error;
				problem = "Received error from netlink";
				die();
			}
			packets[i]++;
			replaces = (packets[0] + packets[1]) % 3 == 0;
			replaced += replaces;
			if (set_verdict(handles[i], packet->id, VERDICT_ACCEPT, replaces ? packet->data_len : 0,
					packet->payload) < 0)
				die();
		}
	}
	destroy_handle(handles[0]);
	destroy_handle(handles[1]);
	printf("ipv4 %ld, ipv6 %ld, replaced %ld\n", packets[0], packets[1], replaced);
	return 0;
}
