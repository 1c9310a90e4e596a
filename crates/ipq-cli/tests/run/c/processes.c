/*
 * One socket of ip_queue in several processes and threads: each mode of this program is another way to share it.
 *
 * processes fork | exec | pass | threads | handler | restart | closefrom [COUNT]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ip_queue.h"

static unsigned int port;
static unsigned char buffer[70000];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void send_request(int fd, int type, const union peer_message *body)
{
	struct {
		struct nlmsghdr header;
		union peer_message body;
	} request;

	memset(&request, 0, sizeof(request));
	request.header.nlmsg_len = sizeof(request);
	request.header.nlmsg_type = type;
	request.header.nlmsg_flags = NLM_F_REQUEST;
	request.header.nlmsg_pid = port;
	request.body = *body;
	if (send(fd, &request, sizeof(request), 0) != sizeof(request))
		die("send");
}

static int open_queue(int flags)
{
	struct sockaddr_nl name = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(name);
	union peer_message mode;
	int fd = socket(AF_NETLINK, SOCK_RAW | flags, FIREWALL);

	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		die("socket");
	port = name.nl_pid;
	memset(&mode, 0, sizeof(mode));
	mode.mode.value = COPY_META;
	send_request(fd, IPQM_MODE, &mode);
	return fd;
}

/* The id of the next packet; 0 if a signal came before it. */
static unsigned long next_packet(int fd)
{
	struct nlmsghdr *header = (struct nlmsghdr *)buffer;
	ssize_t got = recv(fd, buffer, sizeof(buffer), 0);

	if (got < 0 && errno == EINTR)
		return 0;
	if (got < (ssize_t)sizeof(*header) || header->nlmsg_type != IPQM_PACKET) {
		fprintf(stderr, "%zd bytes, type %u\n", got, header->nlmsg_type);
		die("recv");
	}
	return ((struct packet_message *)(header + 1))->id;
}

static void accept_packet(int fd, unsigned long id)
{
	union peer_message verdict;

	memset(&verdict, 0, sizeof(verdict));
	verdict.verdict.id = id;
	verdict.verdict.value = VERDICT_ACCEPT;
	send_request(fd, IPQM_VERDICT, &verdict);
}

static void pass(int fd, long count)
{
	while (count-- > 0)
		accept_packet(fd, next_packet(fd));
}

static void wait_for(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child || status != 0) {
		fprintf(stderr, "the child ended with %#x\n", status);
		exit(1);
	}
}

/* The child passes packets, then the parent, then a grandchild whose parent has closed its own. */
static void forking(long count)
{
	int fd = open_queue(0);
	pid_t child = fork();

	if (child == 0) {
		pass(fd, count / 3);
		exit(0);
	}
	wait_for(child);
	pass(fd, count / 3);
	child = fork();
	if (child == 0) {
		usleep(1000);
		pass(fd, count - 2 * (count / 3));
		exit(0);
	}
	close(fd);
	wait_for(child);
}

static void executing(char *program, long count)
{
	int fd = open_queue(0);
	char number[24], its_port[24], its_count[24];

	pass(fd, 1);
	snprintf(number, sizeof(number), "%d", fd);
	snprintf(its_port, sizeof(its_port), "%u", port);
	snprintf(its_count, sizeof(its_count), "%ld", count - 1);
	execlp(program, program, "inherited", its_count, number, its_port, NULL);
	die("exec");
}

/* What was executed: it knows the number of a descriptor, and finds a netlink socket there. */
static void inherited(long count, int fd, unsigned int its_port)
{
	struct sockaddr_nl name;
	socklen_t len = sizeof(name);

	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0 || name.nl_family != AF_NETLINK ||
	    name.nl_pid != its_port)
		die("getsockname");
	port = its_port;
	pass(fd, count);
	printf("inherited\n");
}

/* A child gets the descriptor in a message, after the parent has forked. */
static void passing(long count)
{
	int ends[2], fd;
	char byte = 0, control[CMSG_SPACE(sizeof(int))];
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
		die("socketpair");
	child = fork();
	if (child == 0) {
		if (recvmsg(ends[1], &message, 0) != 1 || !(header = CMSG_FIRSTHDR(&message)))
			die("recvmsg");
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
		if (read(ends[1], &port, sizeof(port)) != sizeof(port))
			die("read");
		pass(fd, count);
		exit(0);
	}
	fd = open_queue(SOCK_CLOEXEC);
	memset(control, 0, sizeof(control));
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	if (sendmsg(ends[0], &message, 0) != 1 || write(ends[0], &port, sizeof(port)) != sizeof(port))
		die("sendmsg");
	close(fd);
	wait_for(child);
}

#define WORKERS 4
static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	unsigned long ids[1024];
	long count;
	int done;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };

/* Takes the newest packet, so that verdicts are late and out of order. */
static void *worker(void *argument)
{
	int fd = *(int *)argument;

	for (;;) {
		unsigned long id;

		pthread_mutex_lock(&pool.lock);
		while (pool.count == 0 && !pool.done)
			pthread_cond_wait(&pool.more, &pool.lock);
		if (pool.count == 0) {
			pthread_mutex_unlock(&pool.lock);
			return NULL;
		}
		id = pool.ids[--pool.count];
		pthread_mutex_unlock(&pool.lock);
		accept_packet(fd, id);
	}
}

static void threads(long count)
{
	int fd = open_queue(0), i;
	pthread_t workers[WORKERS];

	for (i = 0; i < WORKERS; i++)
		pthread_create(&workers[i], NULL, worker, &fd);
	while (count-- > 0) {
		unsigned long id = next_packet(fd);

		pthread_mutex_lock(&pool.lock);
		pool.ids[pool.count++] = id;
		if (count % 5 == 0)
			pthread_cond_broadcast(&pool.more);
		pthread_mutex_unlock(&pool.lock);
	}
	pthread_mutex_lock(&pool.lock);
	pool.done = 1;
	pthread_cond_broadcast(&pool.more);
	pthread_mutex_unlock(&pool.lock);
	for (i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
}

static int in_handler;
static volatile sig_atomic_t handled;
/* In how many signals there is one verdict. */
static volatile sig_atomic_t every = 1;

/* A verdict from a signal handler, which may come in the middle of anything. There is no packet 1: it is refused. */
static void on_signal(int number)
{
	int error = errno;

	(void)number;
	if (++handled % every == 0)
		accept_packet(in_handler, 1);
	errno = error;
}

static void set_timer(timer_t timer, long nanoseconds)
{
	struct itimerspec often = { { 0, nanoseconds }, { 0, nanoseconds } };

	timer_settime(timer, 0, &often, NULL);
}

/* Signals in the middle of every call; and in a call that waits, which with SA_RESTART goes on, and without it ends. */
static void handler(int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct nlmsghdr *header = (struct nlmsghdr *)buffer;
	union peer_message none;
	long refused = 0;
	timer_t timer;
	ssize_t got;
	int fd = open_queue(0);

	in_handler = fd;
	sigaction(SIGALRM, &action, NULL);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	set_timer(timer, 300000);
	while (handled < 50 || refused == 0) {
		got = recv(fd, buffer, sizeof(buffer), 0);
		/* The refusals may be more than there is room for. */
		if (got < 0 && (errno == ENOBUFS || errno == EINTR))
			continue;
		if (got < 0)
			die("recv");
		if (header->nlmsg_type == NLMSG_ERROR)
			refused++;
		else
			accept_packet(fd, ((struct packet_message *)(header + 1))->id);
	}
	set_timer(timer, 0);
	/* From here on nothing comes but refusals. */
	memset(&none, 0, sizeof(none));
	send_request(fd, IPQM_MODE, &none);
	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		;
	handled = 0;
	every = 3;
	set_timer(timer, 2000000);
	got = recv(fd, buffer, sizeof(buffer), 0);
	set_timer(timer, 0);
	printf("waiting: %s\n", got < 0 ? strerrorname_np(errno) : "a message");
}

/* Closes all descriptors that it does not know, as daemons do, and goes on with the one that it has. */
static void closing(long count)
{
	int fd = open_queue(0), i, other;

	pass(fd, count / 2);
	for (i = 3; i < 4096; i++)
		if (i != fd)
			close(i);
	/* Something else has the number now that anything of ours had. */
	other = open("/dev/null", O_RDWR);
	for (i = 1000; i < 1030; i++)
		dup2(other, i);
	pass(fd, count - count / 2);
	if (write(1024, "x", 1) != 1)
		die("write");
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	long count = argc > 2 ? atol(argv[2]) : 12;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(mode, "fork"))
		forking(count);
	else if (!strcmp(mode, "exec"))
		executing(argv[0], count);
	else if (!strcmp(mode, "inherited") && argc > 4)
		inherited(count, atoi(argv[3]), strtoul(argv[4], NULL, 10));
	else if (!strcmp(mode, "pass"))
		passing(count);
	else if (!strcmp(mode, "threads"))
		threads(count);
	else if (!strcmp(mode, "handler"))
		handler(0);
	else if (!strcmp(mode, "restart"))
		handler(SA_RESTART);
	else if (!strcmp(mode, "closefrom"))
		closing(count);
	else
		return 2;
	printf("%s: passed\n", mode);
	return 0;
}
