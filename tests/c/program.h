/*
 * What the test programs share. They are C and C++ at once, print what they see on stdout, and end with status 0 only
 * if all was as it should be.
 */
#ifndef IPQ_TEST_PROGRAM_H
#define IPQ_TEST_PROGRAM_H

/* As programs in C++ did with the original's header. */
#ifdef __cplusplus
extern "C" {
#endif
#include <libipq.h>
#ifdef __cplusplus
}
#endif

#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for any packet and what comes with it. */
#define BUFFER_SIZE (65536 + 256)

/* Long enough for anything that is to come, in microseconds: a test that waits so long has failed. */
#define PATIENCE 20000000

/* To be called first: what is printed is seen at once, and a program that hangs is killed. */
static inline void begin(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(PATIENCE / 1000000 * 3);
}

static inline void fail(const char *what)
{
	ipq_perror(what);
	exit(1);
}

#define expect(condition)                                                             \
	do {                                                                          \
		if (!(condition)) {                                                   \
			fprintf(stderr, "%s:%d: not so: %s (%s; errno %d)\n",         \
				__FILE__, __LINE__, #condition, ipq_errstr(), errno); \
			exit(1);                                                      \
		}                                                                     \
	} while (0)

/* The family that argument says, 4 or 6, as ipq_create_handle wants it. */
static inline uint32_t protocol_of(const char *argument)
{
	return strcmp(argument, "6") == 0 ? NFPROTO_IPV6 : NFPROTO_IPV4;
}

static inline struct ipq_handle *open_queue(uint32_t protocol, uint8_t mode, size_t range)
{
	struct ipq_handle *h = ipq_create_handle(0, protocol);

	if (!h)
		fail("ipq_create_handle");
	if (ipq_set_mode(h, mode, range) < 0)
		fail("ipq_set_mode");
	return h;
}

/* The next packet; anything else ends the program. */
static inline ipq_packet_msg_t *next_packet(const struct ipq_handle *h, unsigned char *buffer,
					    size_t size)
{
	ssize_t length = ipq_read(h, buffer, size, PATIENCE);

	if (length <= 0)
		fail("ipq_read");
	if (ipq_message_type(buffer) == NLMSG_ERROR) {
		errno = ipq_get_msgerr(buffer);
		perror("the kernel");
		exit(1);
	}
	expect(ipq_message_type(buffer) == IPQM_PACKET);
	return ipq_get_packet(buffer);
}

static inline void close_queue(struct ipq_handle *h)
{
	expect(ipq_destroy_handle(h) == 0);
}

#endif
