/*
 * Reads /proc/net/ip_queue in the ways that programs do, finds itself there, and changes the maximum length.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ip_queue.h"

#define MAXLEN "/proc/sys/net/ipv4/ip_queue_maxlen"
#define MAXLEN6 "/proc/sys/net/ipv6/ip6_queue_maxlen"
#define STATUS "/proc/net/ip_queue"

static long field(const char *path, const char *label)
{
	char line[128];
	long value = -1;
	FILE *file = fopen(path, "r");

	if (!file) {
		perror(path);
		exit(1);
	}
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, label, strlen(label)))
			value = atol(strchr(line, ':') + 1);
	fclose(file);
	return value;
}

static long number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0) {
		perror(path);
		exit(1);
	}
	len = read(fd, text, sizeof(text) - 1);
	if (len <= 0 || read(fd, text + len, 1) != 0)
		printf("not a whole file\n");
	/* A file of /proc can be read again. */
	if (pread(fd, text, sizeof(text) - 1, 0) != len || lseek(fd, 0, SEEK_SET) != 0)
		printf("not a file\n");
	if (write(fd, "1", 1) != -1 || errno != EBADF)
		printf("it can be written\n");
	close(fd);
	return atol(text);
}

static void say(const char *what)
{
	printf("%s: maxlen %ld, in the status %ld\n", what, number(MAXLEN), field(STATUS, "Queue max. length"));
}

static const char *attempt(const char *path, const char *text)
{
	static char outcome[64];
	int fd = open(path, O_WRONLY | O_TRUNC);
	ssize_t written;

	if (fd < 0)
		return strerrorname_np(errno);
	written = write(fd, text, strlen(text));
	snprintf(outcome, sizeof(outcome), "%zd %s", written, written < 0 ? strerrorname_np(errno) : "");
	close(fd);
	return outcome;
}

static void look(const char *path)
{
	struct stat by_path, link, at;
	struct statx extended;

	if (stat(path, &by_path) || lstat(path, &link) || fstatat(AT_FDCWD, path, &at, 0) ||
			statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &extended)) {
		perror(path);
		exit(1);
	}
	printf("%s: %o %o %o %o, %lld bytes\n", path, by_path.st_mode, link.st_mode, at.st_mode, extended.stx_mode,
			(long long)by_path.st_size);
}

/* Reads and writes by one descriptor, and by a stream that was another file. */
static void update(void)
{
	char text[32] = "";
	int fd = open(MAXLEN, O_RDWR);
	FILE *file;
	ssize_t len = read(fd, text, sizeof(text) - 1);

	printf("both: read %zd, %d", len, atoi(text));
	printf(", %zd", read(fd, text, 1));
	printf(", written %zd\n", write(fd, "31\n", 3));
	close(fd);
	say("by both");
	file = freopen(MAXLEN, "r+", fopen("/dev/null", "r"));
	printf("freopen: read %d", file && fgets(text, sizeof(text), file) ? atoi(text) : -1);
	printf(", closed %d", fclose(file));
	file = freopen(MAXLEN, "w", fopen("/dev/null", "r"));
	printf(", written %d", fprintf(file, "32\n"));
	printf(", %d\n", fclose(file));
	printf("freopen: %s\n", freopen(STATUS, "w", fopen("/dev/null", "r")) ? "opened" : strerrorname_np(errno));
}

int main(void)
{
	struct sockaddr_nl name = { .nl_family = AF_NETLINK };
	struct {
		struct nlmsghdr header;
		union peer_message body;
	} request;
	struct stat status;
	FILE *file;
	char text[1024];
	int fd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = socket(AF_NETLINK, SOCK_RAW, FIREWALL);
	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
		perror("socket");
		return 1;
	}
	printf("before a mode: peer %ld\n", field(STATUS, "Peer PID"));
	memset(&request, 0, sizeof(request));
	request.header.nlmsg_len = sizeof(request);
	request.header.nlmsg_flags = NLM_F_REQUEST;
	request.header.nlmsg_type = IPQM_MODE;
	request.header.nlmsg_pid = getpid();
	request.body.mode.value = COPY_META;
	send(fd, &request, sizeof(request), 0);
	printf("the peer is %s\n", field(STATUS, "Peer PID") == getpid() ? "this process" : "another");
	printf("copy mode %ld\n", field(STATUS, "Copy mode"));
	fd = open(STATUS, O_RDONLY);
	fstat(fd, &status);
	printf("regular file %d, first bytes \"%.*s\"\n", S_ISREG(status.st_mode), (int)read(fd, text, 11), text);
	close(fd);

	say("at first");
	printf("by write: %s\n", attempt(MAXLEN, "2048\n"));
	say("by write");
	file = fopen(MAXLEN, "w");
	printf("by stdio: %d", fprintf(file, "%d\n", 512));
	printf(", %d\n", fclose(file));
	say("by stdio");
	printf("by a shell: %d\n", system("echo 77 > " MAXLEN));
	say("by a shell");
	printf("by a program: %d\n", system("/bin/echo 78 > " MAXLEN "; exec cat " MAXLEN));
	say("by a program");
	printf("rubbish: %s\n", attempt(MAXLEN, "many\n"));
	printf("status: %s\n", attempt(STATUS, "1\n"));
	say("after rubbish");
	printf("access: %d %d", access(MAXLEN, R_OK | W_OK), access(STATUS, R_OK));
	printf(", %s\n", access(STATUS, W_OK) < 0 ? strerrorname_np(errno) : "0");

	look(STATUS);
	look(MAXLEN);
	printf("missing: %d\n", stat(STATUS "x", &status));
	update();
	say("by freopen");

	fd = socket(AF_NETLINK, SOCK_RAW, IP6_FW);
	printf("ipv6: maxlen %ld", number(MAXLEN6));
	printf(", %s", attempt(MAXLEN6, "99"));
	printf(", maxlen %ld, in the status %ld\n", number(MAXLEN6), field("/proc/net/ip6_queue", "Queue max. length"));
	return 0;
}
