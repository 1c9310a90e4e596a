/*
 * ip_queue without libipq: a netlink socket, its own structures, and whatever system calls it is told to use.
 *
 * raw [-6] [-b | -c] [-n COUNT] [-r HOW] [-w HOW] [-v DROP_EVERY] [-d] [-s BYTES] [-t SECONDS]
 *
 * -b binds to the process id, -c connects to the kernel; without either, the first request binds. -d does everything on a
 * duplicate. Ends after COUNT packets, or at SIGTERM, and says what it did.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ip_queue.h"

/* What calls become where a compiler knows how long the buffer is, and is to have it checked. */
extern ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t room, int flags);
extern ssize_t __recvfrom_chk(int fd, void *buffer, size_t size, size_t room, int flags,
			      struct sockaddr *from, socklen_t *len);
extern ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room);
extern int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
extern int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		       const sigset_t *mask, size_t room);

static volatile sig_atomic_t stopped;
static int fd;
static const char *reading = "recvfrom";
static const char *waiting = "block";
static int epoll;

static void stop(int number)
{
	(void)number;
	stopped = 1;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void send_request(int type, const union peer_message *body)
{
	static unsigned int sequence;
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct nlmsghdr header = {
		.nlmsg_len = sizeof(header) + sizeof(*body),
		.nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST,
		.nlmsg_seq = ++sequence,
		.nlmsg_pid = getpid(),
	};
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)body, sizeof(*body) } };
	struct msghdr message = {
		.msg_name = &kernel,
		.msg_namelen = sizeof(kernel),
		.msg_iov = parts,
		.msg_iovlen = 2,
	};

	if (sendmsg(fd, &message, 0) != (ssize_t)header.nlmsg_len)
		die("sendmsg");
}

/* Receives one message by the call that was asked for; the sender must be the kernel. */
static ssize_t receive(unsigned char *buffer, size_t size, int flags)
{
	struct sockaddr_nl from = { .nl_pid = 1 };
	socklen_t len = sizeof(from);
	struct iovec parts[] = { { buffer, 20 }, { buffer + 20, size - 20 } };
	struct msghdr message = { .msg_name = &from, .msg_namelen = len, .msg_iov = parts, .msg_iovlen = 2 };
	struct mmsghdr messages[1] = { { .msg_hdr = message } };
	ssize_t got;

	if (!strcmp(reading, "recv"))
		return recv(fd, buffer, size, flags);
	if (!strcmp(reading, "read"))
		return read(fd, buffer, size);
	if (!strcmp(reading, "recv_chk"))
		return __recv_chk(fd, buffer, size, size, flags);
	if (!strcmp(reading, "read_chk"))
		return __read_chk(fd, buffer, size, size);
	if (!strcmp(reading, "readv"))
		return readv(fd, parts, 2);
	if (!strcmp(reading, "peek")) {
		got = recv(fd, NULL, 0, flags | MSG_PEEK | MSG_TRUNC);
		if (got < 0)
			return got;
		if ((size_t)got > size) {
			fprintf(stderr, "a message of %zd bytes\n", got);
			exit(1);
		}
		return recv(fd, buffer, got, flags);
	}
	if (!strcmp(reading, "recvmmsg")) {
		got = recvmmsg(fd, messages, 1, flags, NULL);
		if (got == 1)
			got = messages[0].msg_len;
	} else if (!strcmp(reading, "recvmsg")) {
		got = recvmsg(fd, &message, flags);
	} else if (!strcmp(reading, "recvfrom_chk")) {
		got = __recvfrom_chk(fd, buffer, size, size, flags, (struct sockaddr *)&from, &len);
	} else {
		got = recvfrom(fd, buffer, size, flags, (struct sockaddr *)&from, &len);
	}
	if (got >= 0 && (from.nl_family != AF_NETLINK || from.nl_pid != 0)) {
		fprintf(stderr, "a message from %u\n", from.nl_pid);
		exit(1);
	}
	return got;
}

/* Waits until the descriptor is readable; 0 if a signal came. */
static int wait_for_message(void)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	struct epoll_event event;
	fd_set set;
	int ready;

	if (!strcmp(waiting, "poll")) {
		ready = poll(&poller, 1, -1);
	} else if (!strcmp(waiting, "ppoll")) {
		ready = ppoll(&poller, 1, NULL, NULL);
	} else if (!strcmp(waiting, "poll_chk")) {
		ready = __poll_chk(&poller, 1, -1, sizeof(poller));
	} else if (!strcmp(waiting, "ppoll_chk")) {
		ready = __ppoll_chk(&poller, 1, NULL, NULL, sizeof(poller));
	} else if (!strcmp(waiting, "pselect")) {
		FD_ZERO(&set);
		FD_SET(fd, &set);
		ready = pselect(fd + 1, &set, NULL, NULL, NULL, NULL);
	} else if (!strcmp(waiting, "select")) {
		FD_ZERO(&set);
		FD_SET(fd, &set);
		ready = select(fd + 1, &set, NULL, NULL, NULL);
	} else if (!strcmp(waiting, "epoll") || !strcmp(waiting, "edge")) {
		ready = epoll_wait(epoll, &event, 1, -1);
	} else if (!strcmp(waiting, "epoll_pwait")) {
		ready = epoll_pwait(epoll, &event, 1, -1, NULL);
	} else if (!strcmp(waiting, "epoll_pwait2")) {
		ready = epoll_pwait2(epoll, &event, 1, NULL, NULL);
	} else {
		return 1;
	}
	if (ready < 0 && errno != EINTR)
		die("waiting");
	return ready > 0;
}

static void prepare_waiting(void)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (!strcmp(waiting, "edge"))
		event.events |= EPOLLET;
	if (!strncmp(waiting, "epoll", 5) || !strcmp(waiting, "edge")) {
		epoll = epoll_create1(0);
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			die("epoll_ctl");
	}
	if (!strcmp(waiting, "edge") || !strcmp(waiting, "nonblock"))
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int main(int argc, char **argv)
{
	static unsigned char buffer[70000];
	struct sockaddr_nl name = { .nl_family = AF_NETLINK, .nl_pid = getpid() };
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct sigaction action = { .sa_handler = stop };
	union peer_message mode;
	unsigned long packets = 0, bytes = 0, dropped = 0, errors = 0, wakeups = 0;
	long count = -1, drop_every = 0, receive_buffer = 0, seconds = 0;
	int protocol = FIREWALL, binds = 0, connects = 0, duplicates = 0, option;
	int flags = 0;

	while ((option = getopt(argc, argv, "6bcdn:r:s:t:v:w:")) != -1) {
		switch (option) {
		case '6': protocol = IP6_FW; break;
		case 'b': binds = 1; break;
		case 'c': connects = 1; break;
		case 'd': duplicates = 1; break;
		case 'n': count = atol(optarg); break;
		case 'r': reading = optarg; break;
		case 's': receive_buffer = atol(optarg); break;
		case 't': seconds = atol(optarg); break;
		case 'v': drop_every = atol(optarg); break;
		case 'w': waiting = optarg; break;
		default: return 2;
		}
	}
	/* Without SA_RESTART: a call that waits is to end. */
	sigaction(SIGTERM, &action, NULL);

	fd = socket(AF_NETLINK, SOCK_RAW, protocol);
	if (fd < 0)
		die("socket");
	if (duplicates) {
		int other = dup(fd);

		close(fd);
		fd = dup2(other, 200);
		close(other);
	}
	if (binds && bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		die("bind");
	if (connects && connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		die("connect");
	if (receive_buffer) {
		int value = receive_buffer, now;
		socklen_t len = sizeof(now);

		if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value)) < 0)
			die("setsockopt");
		getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &now, &len);
		printf("receive buffer %d\n", now);
	}
	if (seconds) {
		struct timeval timeout = { .tv_sec = seconds };

		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	}
	prepare_waiting();
	memset(&mode, 0, sizeof(mode));
	mode.mode.value = COPY_PACKET;
	mode.mode.range = 0xffff;
	send_request(IPQM_MODE, &mode);
	if (!strcmp(waiting, "nonblock") || !strcmp(waiting, "edge"))
		flags = MSG_DONTWAIT;

	while (!stopped && (count < 0 || packets < (unsigned long)count)) {
		struct nlmsghdr *header = (struct nlmsghdr *)buffer;
		struct packet_message *packet = (struct packet_message *)(header + 1);
		union peer_message verdict;
		ssize_t got;

		if (flags == 0 || errors == 0)
			wakeups += wait_for_message();
		got = receive(buffer, sizeof(buffer), flags);
		if (got < 0 && errno == EAGAIN && seconds) {
			printf("timed out\n");
			break;
		}
		if (got < 0 && errno == EAGAIN) {
			struct pollfd poller = { .fd = fd, .events = POLLIN };

			/* Edge-triggered, or polling by hand: all has been read. */
			if (strcmp(waiting, "edge"))
				poll(&poller, 1, -1);
			continue;
		}
		if (got < 0 && (errno == EINTR || errno == ENOBUFS)) {
			errors += errno == ENOBUFS;
			continue;
		}
		if (got < 0)
			die("receive");
		if (got == 0) {
			fprintf(stderr, "the end\n");
			return 1;
		}
		if (header->nlmsg_type == NLMSG_ERROR) {
			struct nlmsgerr *error = NLMSG_DATA(header);

			fprintf(stderr, "refused: %s\n", strerror(-error->error));
			return 1;
		}
		if (header->nlmsg_type != IPQM_PACKET || header->nlmsg_pid != 0) {
			fprintf(stderr, "a message of type %u from %u\n", header->nlmsg_type, header->nlmsg_pid);
			return 1;
		}
		packets++;
		bytes += packet->data_len;
		memset(&verdict, 0, sizeof(verdict));
		verdict.verdict.id = packet->id;
		verdict.verdict.value = VERDICT_ACCEPT;
		if (drop_every && packets % drop_every == 0) {
			verdict.verdict.value = VERDICT_DROP;
			dropped++;
		}
		send_request(IPQM_VERDICT, &verdict);
	}
	printf("packets %lu, bytes %lu, dropped %lu, overruns %lu\n", packets, bytes, dropped, errors);
	return 0;
}
