/*
 * Prints what every system call on a netlink socket does that has nothing to do with what is queued: addresses, flags,
 * options, errors. The same on a real kernel and on a served one, for NETLINK_NETFILTER.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int protocol;
/* A count that is wrong, which the compiler is not to know. */
static volatile int negative = -1;

/* A result: 0 or more, or the name of an error. */
static const char *outcome(long result)
{
	static char text[4][64];
	static int turn;
	char *place = text[turn++ % 4];

	if (result >= 0)
		snprintf(place, sizeof(text[0]), "%ld", result);
	else
		snprintf(place, sizeof(text[0]), "%s", strerrorname_np(errno));
	return place;
}

/* A port id, with those that depend on the process told by what they are. */
static const char *port(unsigned int id)
{
	if (id == 0)
		return "0";
	if (id == (unsigned int)getpid())
		return "pid";
	return (int)id < 0 ? "negative" : "other";
}

static int open_socket(int type)
{
	int fd = socket(AF_NETLINK, type, protocol);

	if (fd < 0) {
		perror("socket");
		exit(1);
	}
	return fd;
}

static void say_name(const char *what, int fd)
{
	struct sockaddr_nl name;
	socklen_t len = sizeof(name);
	int result;

	memset(&name, 0xee, sizeof(name));
	result = getsockname(fd, (struct sockaddr *)&name, &len);
	printf("%s: getsockname %s", what, outcome(result));
	if (result == 0)
		printf(", length %u, family %u, pad %u, port %s, groups %u", len, name.nl_family, name.nl_pad,
		       port(name.nl_pid), name.nl_groups);
	putchar('\n');
}

static int bind_to(int fd, unsigned int id, unsigned int groups)
{
	struct sockaddr_nl name = { .nl_family = AF_NETLINK, .nl_pid = id, .nl_groups = groups };

	return bind(fd, (struct sockaddr *)&name, sizeof(name));
}

/* NLMSG_NOOP with NLM_F_REQUEST | NLM_F_ACK: answered by any subsystem, with 36 bytes. */
static void make_noop(struct nlmsghdr *header, unsigned int sequence)
{
	memset(header, 0, sizeof(*header));
	header->nlmsg_len = sizeof(*header);
	header->nlmsg_type = NLMSG_NOOP;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	header->nlmsg_seq = sequence;
}

static void opening(void)
{
	int kinds[] = { SOCK_RAW, SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET, SOCK_RAW | 0x10, SOCK_RAW | 0x40000000 };
	unsigned int i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int fd = socket(AF_NETLINK, kinds[i], protocol);

		printf("open %#x: %s\n", kinds[i], fd < 0 ? outcome(fd) : "ok");
		if (fd >= 0)
			close(fd);
	}
}

static void flags(void)
{
	int kinds[] = { SOCK_RAW, SOCK_DGRAM | SOCK_NONBLOCK, SOCK_RAW | SOCK_CLOEXEC,
			SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK };
	unsigned int i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int fd = open_socket(kinds[i]);
		int options[] = { SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_ACCEPTCONN };
		struct stat status;
		unsigned int j;

		fstat(fd, &status);
		printf("kind %#x: fd %d, F_GETFL %#x, F_GETFD %d, socket %d", kinds[i], fd, fcntl(fd, F_GETFL),
		       fcntl(fd, F_GETFD), S_ISSOCK(status.st_mode));
		for (j = 0; j < sizeof(options) / sizeof(options[0]); j++) {
			int value = -1;
			socklen_t len = sizeof(value);
			int result = getsockopt(fd, SOL_SOCKET, options[j], &value, &len);

			printf(", option %d: %s %d (%u)", options[j], outcome(result), value, len);
		}
		putchar('\n');
		close(fd);
	}
}

static void binding(void)
{
	int one = open_socket(SOCK_RAW), other = open_socket(SOCK_RAW), third = open_socket(SOCK_RAW);
	struct sockaddr_nl name = { .nl_family = AF_NETLINK };
	struct sockaddr_nl wrong = { .nl_family = AF_INET };

	say_name("fresh", one);
	printf("bind short: %s\n", outcome(bind(one, (struct sockaddr *)&name, 8)));
	printf("bind inet: %s\n", outcome(bind(one, (struct sockaddr *)&wrong, sizeof(wrong))));
	printf("bind long: %s\n", outcome(bind(third, (struct sockaddr *)&name, 500)));
	printf("bind 0: %s\n", outcome(bind_to(one, 0, 0)));
	say_name("bound to 0", one);
	printf("bind 0 again: %s\n", outcome(bind_to(one, 0, 0)));
	printf("bind pid again: %s\n", outcome(bind_to(one, getpid(), 0)));
	printf("bind elsewhere: %s\n", outcome(bind_to(one, 4242, 0)));
	printf("bind other to pid: %s\n", outcome(bind_to(other, getpid(), 0)));
	printf("bind other to 0: %s\n", outcome(bind_to(other, 0, 0)));
	say_name("other", other);
	printf("bind third to 4242: %s\n", outcome(bind_to(third, 4242, 0)));
	say_name("third", third);
	close(one);
	one = open_socket(SOCK_RAW);
	printf("bind to pid after close: %s\n", outcome(bind_to(one, getpid(), 0)));
	say_name("again", one);
	close(one);
	close(other);
	close(third);
}

static void names(void)
{
	int fd = open_socket(SOCK_RAW);
	struct sockaddr_nl name;
	socklen_t lens[] = { 0, 2, 8, 12, 100 };
	unsigned int i;

	bind_to(fd, 0, 0);
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		unsigned char buffer[100];
		socklen_t len = lens[i];
		int result;

		memset(buffer, 0xee, sizeof(buffer));
		result = getsockname(fd, (struct sockaddr *)buffer, &len);
		printf("getsockname with %u: %s, length %u, byte 1 %#x, byte 7 %#x, byte 11 %#x\n", lens[i],
		       outcome(result), len, buffer[1], buffer[7], buffer[11]);
	}
	{
		socklen_t len = (socklen_t)-1;

		printf("getsockname with -1: %s\n", outcome(getsockname(fd, (struct sockaddr *)&name, &len)));
		len = sizeof(name);
		memset(&name, 0xee, sizeof(name));
		printf("getpeername: %s", outcome(getpeername(fd, (struct sockaddr *)&name, &len)));
		printf(", length %u, family %u, port %u, groups %u\n", len, name.nl_family, name.nl_pid, name.nl_groups);
	}
	close(fd);
}

static void connecting(void)
{
	int fd = open_socket(SOCK_RAW);
	struct sockaddr_nl name = { .nl_family = AF_NETLINK };
	struct sockaddr_nl wrong = { .nl_family = AF_INET };
	struct sockaddr_nl unspecified = { .nl_family = AF_UNSPEC };

	printf("connect short: %s\n", outcome(connect(fd, (struct sockaddr *)&name, 8)));
	printf("connect inet: %s\n", outcome(connect(fd, (struct sockaddr *)&wrong, sizeof(wrong))));
	say_name("before connect", fd);
	printf("connect kernel: %s\n", outcome(connect(fd, (struct sockaddr *)&name, sizeof(name))));
	say_name("connected", fd);
	printf("connect nobody: %s\n", outcome(connect(fd, (struct sockaddr *)&unspecified, sizeof(unspecified))));
	say_name("disconnected", fd);
	printf("bind after connect: %s\n", outcome(bind_to(fd, getpid(), 0)));
	printf("listen: %s\n", outcome(listen(fd, 1)));
	printf("accept: %s\n", outcome(accept(fd, NULL, NULL)));
	printf("shutdown: %s\n", outcome(shutdown(fd, SHUT_RDWR)));
	close(fd);
}

static void sending(void)
{
	int fd = open_socket(SOCK_RAW);
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct sockaddr_nl wrong = { .nl_family = AF_INET };
	struct sockaddr_nl nobody = { .nl_family = AF_NETLINK, .nl_pid = 77777777 };
	struct nlmsghdr noop;
	char answer[256];
	struct iovec parts[3];
	static char large[500000];

	make_noop(&noop, 1);
	printf("send: %s\n", outcome(send(fd, &noop, sizeof(noop), 0)));
	say_name("after send", fd);
	printf("answer: %s\n", outcome(recv(fd, answer, sizeof(answer), MSG_DONTWAIT)));
	printf("nothing: %s\n", outcome(recv(fd, answer, sizeof(answer), MSG_DONTWAIT)));
	printf("sendto kernel: %s\n",
	       outcome(sendto(fd, &noop, sizeof(noop), 0, (struct sockaddr *)&kernel, sizeof(kernel))));
	printf("sendto short: %s\n", outcome(sendto(fd, &noop, sizeof(noop), 0, (struct sockaddr *)&kernel, 4)));
	printf("sendto inet: %s\n",
	       outcome(sendto(fd, &noop, sizeof(noop), 0, (struct sockaddr *)&wrong, sizeof(wrong))));
	printf("sendto nobody: %s\n",
	       outcome(sendto(fd, &noop, sizeof(noop), 0, (struct sockaddr *)&nobody, sizeof(nobody))));
	printf("send out of band: %s\n", outcome(send(fd, &noop, sizeof(noop), MSG_OOB)));
	printf("write: %s\n", outcome(write(fd, &noop, sizeof(noop))));
	parts[0].iov_base = &noop;
	parts[0].iov_len = 6;
	parts[1].iov_base = (char *)&noop + 6;
	parts[1].iov_len = 0;
	parts[2].iov_base = (char *)&noop + 6;
	parts[2].iov_len = 10;
	printf("writev: %s\n", outcome(writev(fd, parts, 3)));
	printf("writev of a negative number: %s\n", outcome(writev(fd, parts, negative)));
	printf("send large: %s\n", outcome(send(fd, large, sizeof(large), 0)));
	printf("send null: %s\n", outcome(send(fd, NULL, 16, 0)));
	{
		struct msghdr message = { .msg_iov = parts, .msg_iovlen = 3 };
		struct mmsghdr messages[3] = { { message, 99 }, { message, 99 }, { message, 99 } };

		printf("sendmsg: %s\n", outcome(sendmsg(fd, &message, 0)));
		messages[1].msg_hdr.msg_name = &wrong;
		messages[1].msg_hdr.msg_namelen = sizeof(wrong);
		printf("sendmmsg: %s", outcome(sendmmsg(fd, messages, 3, 0)));
		printf(", lengths %u %u %u\n", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
		printf("sendmmsg wrong: %s\n", outcome(sendmmsg(fd, messages + 1, 1, 0)));
		printf("sendmmsg none: %s\n", outcome(sendmmsg(fd, messages, 0, 0)));
	}
	close(fd);
}

static void say_message(const char *what, long result, const struct msghdr *message, const struct sockaddr_nl *from)
{
	printf("%s: %s", what, outcome(result));
	if (result >= 0)
		printf(", flags %#x, name length %u, family %u, port %u, groups %u, control %zu", message->msg_flags,
		       message->msg_namelen, from->nl_family, from->nl_pid, from->nl_groups, message->msg_controllen);
	putchar('\n');
}

static void receiving(void)
{
	int fd = open_socket(SOCK_RAW);
	struct nlmsghdr noop;
	char buffer[256], control[64], first[10], second[7], third[100];
	struct sockaddr_nl from;
	socklen_t len = sizeof(from);
	struct pollfd poller = { .fd = fd, .events = POLLIN | POLLOUT };
	struct iovec parts[] = { { first, sizeof(first) }, { second, sizeof(second) }, { third, sizeof(third) } };
	struct msghdr message;
	struct mmsghdr messages[4];
	unsigned int i;

	printf("poll empty: %d", poll(&poller, 1, 0));
	printf(", events %#x\n", poller.revents);
	for (i = 1; i <= 12; i++) {
		make_noop(&noop, i);
		send(fd, &noop, sizeof(noop), 0);
	}
	printf("poll full: %d", poll(&poller, 1, 0));
	printf(", events %#x\n", poller.revents);
	printf("peek: %s\n", outcome(recv(fd, buffer, sizeof(buffer), MSG_PEEK)));
	printf("peek short: %s\n", outcome(recv(fd, buffer, 5, MSG_PEEK)));
	printf("peek short, length: %s\n", outcome(recv(fd, buffer, 5, MSG_PEEK | MSG_TRUNC)));
	printf("peek nothing, length: %s\n", outcome(recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC)));
	printf("short: %s\n", outcome(recv(fd, buffer, 5, 0)));
	printf("short, length: %s\n", outcome(recv(fd, buffer, 5, MSG_TRUNC)));
	memset(&from, 0xee, sizeof(from));
	printf("recvfrom: %s", outcome(recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &len)));
	printf(", length %u, family %u, port %u, groups %u, sequence %u, request %u\n", len, from.nl_family, from.nl_pid,
	       from.nl_groups, ((struct nlmsghdr *)buffer)->nlmsg_seq, ((struct nlmsghdr *)(buffer + 20))->nlmsg_type);
	len = 4;
	printf("recvfrom short name: %s", outcome(recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &len)));
	printf(", length %u\n", len);
	printf("recvfrom without name: %s\n", outcome(recvfrom(fd, buffer, sizeof(buffer), 0, NULL, NULL)));
	printf("read: %s\n", outcome(read(fd, buffer, sizeof(buffer))));
	printf("readv: %s\n", outcome(readv(fd, parts, 3)));
	memcpy(&noop, third + 3, 4);
	printf("readv: the request's length is %u\n", noop.nlmsg_len);

	memset(&message, 0, sizeof(message));
	memset(&from, 0xee, sizeof(from));
	message.msg_name = &from;
	message.msg_namelen = 100;
	message.msg_iov = parts;
	message.msg_iovlen = 3;
	message.msg_control = control;
	message.msg_controllen = sizeof(control);
	message.msg_flags = 0x77;
	say_message("recvmsg", recvmsg(fd, &message, 0), &message, &from);
	message.msg_iovlen = 2;
	message.msg_namelen = 4;
	message.msg_controllen = sizeof(control);
	say_message("recvmsg short", recvmsg(fd, &message, MSG_CMSG_CLOEXEC), &message, &from);
	message.msg_name = NULL;
	message.msg_namelen = 55;
	message.msg_iovlen = 0;
	say_message("recvmsg nothing", recvmsg(fd, &message, MSG_TRUNC), &message, &from);
	message.msg_iovlen = 5000;
	say_message("recvmsg too many", recvmsg(fd, &message, 0), &message, &from);

	message.msg_iovlen = 3;
	for (i = 0; i < 4; i++) {
		messages[i].msg_hdr = message;
		messages[i].msg_len = 99;
	}
	/* Ten are read: two are left. */
	printf("recvmmsg: %s", outcome(recvmmsg(fd, messages, 4, MSG_DONTWAIT, NULL)));
	printf(", lengths %u %u %u\n", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
	printf("recvmmsg nothing: %s\n", outcome(recvmmsg(fd, messages, 4, MSG_DONTWAIT, NULL)));
	printf("recvmmsg none: %s\n", outcome(recvmmsg(fd, messages, 0, 0, NULL)));
	printf("out of band: %s\n", outcome(recv(fd, buffer, sizeof(buffer), MSG_OOB)));
	poller.revents = 0;
	printf("poll empty again: %d", poll(&poller, 1, 0));
	printf(", events %#x\n", poller.revents);
	close(fd);
}

static void waiting(void)
{
	int fd = open_socket(SOCK_RAW);
	char buffer[256];
	struct timeval timeout = { .tv_usec = 20000 };
	struct timespec limit = { .tv_nsec = 20000000 };
	struct iovec part = { buffer, sizeof(buffer) };
	struct mmsghdr message = { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } };
	struct nlmsghdr noop;
	socklen_t len = sizeof(timeout);

	printf("set a time-out: %s\n",
	       outcome(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout))));
	memset(&timeout, 0, sizeof(timeout));
	getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &len);
	printf("time-out: %ld.%06ld (%u)\n", (long)timeout.tv_sec, (long)timeout.tv_usec, len);
	printf("recv: %s\n", outcome(recv(fd, buffer, sizeof(buffer), 0)));
	printf("recvmmsg: %s\n", outcome(recvmmsg(fd, &message, 1, 0, &limit)));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	printf("recv with O_NONBLOCK: %s\n", outcome(recv(fd, buffer, sizeof(buffer), 0)));
	make_noop(&noop, 1);
	send(fd, &noop, sizeof(noop), 0);
	printf("recv with O_NONBLOCK: %s\n", outcome(recv(fd, buffer, sizeof(buffer), 0)));
	close(fd);
}

static void say_option(const char *what, int fd, int level, int name, int value, socklen_t given)
{
	int set = setsockopt(fd, level, name, &value, given);
	int got, now = -1;
	socklen_t len = sizeof(now);

	printf("%s %d: set %s", what, value, outcome(set));
	got = getsockopt(fd, level, name, &now, &len);
	printf(", get %s", outcome(got));
	if (got == 0)
		printf(", %d (%u)", now, len);
	putchar('\n');
}

static void options(void)
{
	int fd = open_socket(SOCK_RAW);
	int value = -1, count;
	socklen_t len = sizeof(value);

	getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &len);
	printf("SO_RCVBUF %d (%u)\n", value, len);
	say_option("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF, 10000, 4);
	say_option("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF, 1, 4);
	say_option("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF, -1, 4);
	say_option("SO_RCVBUF short", fd, SOL_SOCKET, SO_RCVBUF, 5000, 2);
	say_option("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF, 1 << 30, 4);
	say_option("SO_SNDBUF", fd, SOL_SOCKET, SO_SNDBUF, 20000, 4);
	say_option("SO_REUSEADDR", fd, SOL_SOCKET, SO_REUSEADDR, 1, 4);
	say_option("SO_PRIORITY", fd, SOL_SOCKET, SO_PRIORITY, 3, 4);
	say_option("NO_ENOBUFS", fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1, 4);
	say_option("NO_ENOBUFS", fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 0, 4);
	say_option("NO_ENOBUFS short", fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1, 2);
	say_option("BROADCAST_ERROR", fd, SOL_NETLINK, NETLINK_BROADCAST_ERROR, 1, 4);
	say_option("PKTINFO", fd, SOL_NETLINK, NETLINK_PKTINFO, 0, 4);
	say_option("CAP_ACK", fd, SOL_NETLINK, NETLINK_CAP_ACK, 0, 4);
	say_option("EXT_ACK", fd, SOL_NETLINK, NETLINK_EXT_ACK, 0, 4);
	say_option("GET_STRICT_CHK", fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1, 4);
	say_option("option 99", fd, SOL_NETLINK, 99, 1, 4);
	say_option("level 99", fd, 99, 1, 1, 4);
	printf("FIONREAD: %s\n", outcome(ioctl(fd, FIONREAD, &count)));
	printf("TIOCOUTQ: %s\n", outcome(ioctl(fd, TIOCOUTQ, &count)));
	value = 1;
	printf("FIONBIO: %s", outcome(ioctl(fd, FIONBIO, &value)));
	printf(", F_GETFL %#x\n", fcntl(fd, F_GETFL));
	close(fd);
}

int main(int argc, char **argv)
{
	protocol = argc > 1 ? atoi(argv[1]) : NETLINK_NETFILTER;
	setvbuf(stdout, NULL, _IOLBF, 0);
	opening();
	flags();
	binding();
	names();
	connecting();
	sending();
	receiving();
	waiting();
	options();
	return 0;
}
