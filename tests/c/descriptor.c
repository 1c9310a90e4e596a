/*
 * What programs do with the descriptor itself: poll, epoll, a larger receive buffer, close-on-exec, non-blocking reads.
 *
 * COUNT: accepts COUNT packets, every other one after poll and after epoll.
 */
#include "program.h"

#include <poll.h>
#include <sys/epoll.h>

static unsigned char buffer[BUFFER_SIZE];

static void wait_with_poll(int fd)
{
	struct pollfd polled = { fd, POLLIN, 0 };

	expect(poll(&polled, 1, PATIENCE / 1000) == 1 && polled.revents == POLLIN);
}

static void wait_with_epoll(int fd)
{
	struct epoll_event event = { EPOLLIN, { NULL } };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	expect(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
	expect(epoll_wait(epoll, &event, 1, PATIENCE / 1000) == 1);
	expect(event.events == EPOLLIN && close(epoll) == 0);
}

/* The kernel doubles what is asked for, and says so. */
static void enlarge(int fd)
{
	int wanted = 150000, got = 0;
	socklen_t size = sizeof(got);

	expect(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof(wanted)) == 0);
	expect(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &size) == 0);
	printf("receive buffer: %s\n", got >= wanted ? "larger" : "not larger");
}

static void expect_nothing(const struct ipq_handle *h)
{
	struct pollfd polled = { h->fd, POLLIN, 0 };

	expect(poll(&polled, 1, 0) == 0);
	/* Where a program made it non-blocking, a read that would wait for ever does not. */
	expect(fcntl(h->fd, F_SETFL, fcntl(h->fd, F_GETFL) | O_NONBLOCK) == 0);
	expect(ipq_read(h, buffer, sizeof(buffer), 0) == -1 && errno == EAGAIN);
	printf("non-blocking: %s\n", ipq_errstr());
	expect(fcntl(h->fd, F_SETFL, fcntl(h->fd, F_GETFL) & ~O_NONBLOCK) == 0);
}

int main(int argc, char **argv)
{
	struct ipq_handle *h;
	long i, count;

	if (argc != 2)
		return 2;
	begin();
	count = atol(argv[1]);
	h = open_queue(NFPROTO_IPV4, IPQ_COPY_PACKET, 0);
	/* As the original left it: programs that are started have it, unless this one says otherwise. */
	expect(fcntl(h->fd, F_GETFD) == 0);
	expect(fcntl(h->fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(h->fd, F_GETFD) == FD_CLOEXEC);
	enlarge(h->fd);
	expect_nothing(h);
	puts("ready");
	for (i = 0; i < count; i++) {
		const ipq_packet_msg_t *packet;

		if (i % 2)
			wait_with_epoll(h->fd);
		else
			wait_with_poll(h->fd);
		packet = next_packet(h, buffer, sizeof(buffer));
		expect(ipq_set_verdict(h, packet->packet_id, NF_ACCEPT, 0, NULL) > 0);
	}
	expect_nothing(h);
	printf("accepted %ld packets\n", count);
	close_queue(h);
	return 0;
}
