/*
 * libipq: packets that a rule of the firewall has queued, and verdicts over them.
 *
 * The API of libipq(3), on ip_queue (Linux 2.4 to 3.4), on nfnetlink_queue (since 2.6.14) and on a simulated kernel.
 * IPQ_TRANSPORT in the environment says which; see libipq(3). SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef IPQ_LIBIPQ_H
#define IPQ_LIBIPQ_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/netfilter_ipv4/ip_queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Names a packet. Opaque: all bits may be used, and a new packet may have the id of one that is gone. */
typedef unsigned long ipq_id_t;

/* A session with the queue of one family. To be read, and used where a descriptor is asked for; not to be copied. */
struct ipq_handle {
	int fd;                    /* becomes readable when a message waits, for select, poll and epoll */
	uint8_t blocking;
	struct sockaddr_nl local;  /* nl_pid is the port id of this program's socket */
	struct sockaddr_nl peer;   /* the kernel */
};

/* Opens a session. protocol is NFPROTO_IPV4 (2) or NFPROTO_IPV6 (10), flags 0. NULL on errors. */
struct ipq_handle *ipq_create_handle(uint32_t flags, uint32_t protocol);

/* Closes it; the kernel drops what still waits. NULL is nothing to close. */
int ipq_destroy_handle(struct ipq_handle *h);

/* Says how much of each packet is wanted, and makes this program the one that gets them. Bytes sent, or -1. */
int ipq_set_mode(const struct ipq_handle *h, uint8_t mode, size_t len);

/*
 * Reads a message into buf. timeout is in microseconds: 0 waits for ever, a negative one not at all. The message's
 * length; 0 if the time is over, or a signal came while it ran; -1 on errors.
 */
ssize_t ipq_read(const struct ipq_handle *h, unsigned char *buf, size_t len, int timeout);

/* What was read into buf: NLMSG_ERROR or IPQM_PACKET. */
int ipq_message_type(const unsigned char *buf);

/* The packet in buf. NULL if there is none. */
ipq_packet_msg_t *ipq_get_packet(const unsigned char *buf);

/* The errno in an error message, positive. */
int ipq_get_msgerr(const unsigned char *buf);

/* Decides on a packet and, with data_len and buf, replaces it. Bytes sent, or -1. */
int ipq_set_verdict(const struct ipq_handle *h, ipq_id_t id, unsigned int verdict,
		    size_t data_len, unsigned char *buf);

/* Not implemented, and never was. 1. */
int ipq_ctl(const struct ipq_handle *h, int request, ...);

/* The text of the last error in this thread. */
char *ipq_errstr(void);

/* Prints s (or "ERROR"), that text, and errno's, to stderr. */
void ipq_perror(const char *s);

/* The errors by number. */
enum {
	IPQ_ERROR_NONE,
	IPQ_ERROR_IMPL,
	IPQ_ERROR_HANDLE,
	IPQ_ERROR_SOCKET,
	IPQ_ERROR_BIND,
	IPQ_ERROR_BUFFER,
	IPQ_ERROR_RECV,
	IPQ_ERROR_NLEOF,
	IPQ_ERROR_ADDRLEN,
	IPQ_ERROR_STRUNC,
	IPQ_ERROR_RTRUNC,
	IPQ_ERROR_NLRECV,
	IPQ_ERROR_SEND,
	IPQ_ERROR_SUPP,
	IPQ_ERROR_RECVBUF,
	IPQ_ERROR_TIMEOUT,
	IPQ_ERROR_PROTOCOL
};
#define IPQ_ERROR_MAX IPQ_ERROR_PROTOCOL

/* Their texts. */
struct ipq_error_text {
	int code;
	char *text;
};
extern const struct ipq_error_text ipq_errmap[IPQ_ERROR_MAX + 1];

/*
 * From here on: what the original does not have.
 */
#define IPQ_HAS_ADDITIONS 1

/* How to open a session. IPQ_OPTIONS_INIT is all of it as ipq_create_handle has it. */
struct ipq_options {
	size_t size;               /* of this structure, so that it can grow */
	const char *transport;     /* as IPQ_TRANSPORT would say it; NULL: as it does */
	int queue;                 /* which queue of nfnetlink_queue; -1: as the transport says */
	uint32_t flags;            /* IPQ_OPTION_... */
	uint32_t maxlen;           /* how many packets may wait for a verdict; 0: as the kernel has it */
	uint32_t rcvbuf;           /* receive buffer in bytes, as SO_RCVBUF; 0: as the system has it */
};
#define IPQ_OPTIONS_INIT { sizeof(struct ipq_options), NULL, -1, 0, 0, 0 }

#define IPQ_OPTION_CLOEXEC 1u      /* the descriptor is closed on exec */
#define IPQ_OPTION_NO_ENOBUFS 2u   /* a full receive buffer is no error of ipq_read */
#define IPQ_OPTION_FAIL_OPEN 4u    /* packets pass when the queue is full; nfnetlink_queue only */

/* Opens a session with options. A process may have several of them, on queues of their own. NULL on errors. */
struct ipq_handle *ipq_create_handle_with(uint32_t protocol, const struct ipq_options *options);

/* As ipq_set_verdict, and gives the packet a mark. On nfnetlink_queue only: elsewhere -1 and EOPNOTSUPP. */
int ipq_set_vwmark(const struct ipq_handle *h, ipq_id_t id, unsigned int verdict, ipq_id_t mark,
		   size_t data_len, unsigned char *buf);

/* One of several verdicts; buf NULL: no replacement. */
struct ipq_verdict {
	ipq_id_t id;
	unsigned int verdict;
	size_t data_len;
	const unsigned char *buf;
};

/* Decides on several packets in few system calls. How many verdicts were sent, which may be less than count; or -1. */
ssize_t ipq_set_verdicts(const struct ipq_handle *h, const struct ipq_verdict *verdicts,
			 size_t count);

/* What a session has seen and done. */
struct ipq_statistics {
	uint64_t packets;          /* packets read, those that were cut included */
	uint64_t bytes;            /* bytes of payload read */
	uint64_t verdicts;         /* verdicts sent */
	uint64_t refused;          /* requests that the kernel refused, as far as it was read */
	uint64_t truncated;        /* messages longer than the buffer */
	uint64_t overruns;         /* how often the receive buffer was full; each time packets were lost */
	uint64_t foreign;          /* messages that were not the kernel's, and were discarded */
	uint64_t malformed;        /* messages that made no sense, and were discarded */
};

/* Fills in the first size bytes of *statistics. 0, or -1. */
int ipq_get_statistics(const struct ipq_handle *h, struct ipq_statistics *statistics, size_t size);

/* The number of the last error of this session, in whichever thread it was; IPQ_ERROR_NONE if there was none. */
int ipq_handle_error(const struct ipq_handle *h);

/* The text of an error. */
const char *ipq_strerror(int error);

/* The last error in this thread in a line: what was attempted, what came back, what to do. "" if there is no more to say. */
const char *ipq_errdetail(void);

#ifdef __cplusplus
}
#endif

#endif
