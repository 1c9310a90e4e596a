/*
 * The messages of both queues, as their headers have them, and what the benchmark puts into them: `src/codec/messages.rs`
 * has the same.
 */
#ifndef IPQ_BENCH_CODEC_MESSAGES_H
#define IPQ_BENCH_CODEC_MESSAGES_H

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes somewhere in a message. */
struct span {
	const uint8_t *at;
	size_t length;
};

/* The messages of ip_queue, as its header had them. */
struct ipq_packet {
	struct nlmsghdr netlink;
	unsigned long id, mark;
	long seconds, microseconds;
	unsigned int hook;
	char input[16], output[16];
	uint16_t hw_protocol;
	unsigned short hw_type;
	unsigned char hw_addrlen, hw_addr[8];
	size_t data_len;
	unsigned char payload[];
};

struct ipq_verdict {
	struct nlmsghdr netlink;
	unsigned int value;
	unsigned long id;
	size_t data_len;
};

struct ipq_mode {
	struct nlmsghdr netlink;
	unsigned char value;
	size_t range, rest_of_union;
};

enum { IPQM_MODE = 0x11, IPQM_VERDICT, IPQM_PACKET };

/* The start of every message of nfnetlink. */
struct head {
	struct nlmsghdr netlink;
	struct nfgenmsg netfilter;
};

#endif
