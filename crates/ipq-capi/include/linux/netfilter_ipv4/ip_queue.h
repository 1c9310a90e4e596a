/*
 * The messages of ip_queue (IPv4) and ip6_queue (IPv6), as a program sees them.
 *
 * Linux had these queues from 2.4 to 3.4, and headers of today have no such file. All numbers are in host byte order
 * but for hw_protocol. SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef IPQ_LINUX_NETFILTER_IPV4_IP_QUEUE_H
#define IPQ_LINUX_NETFILTER_IPV4_IP_QUEUE_H

/* Arrays without a length are in no standard of C++, and no program that includes this can help it. */
#pragma GCC system_header

#include <stddef.h>

/* Room for the name of a device and its NUL: IFNAMSIZ, without <net/if.h> or <linux/if.h>, which clash. */
#define IPQ_DEVICE_NAME_SIZE 16

/* Kernel to program: a packet waits for a verdict (IPQM_PACKET). */
typedef struct ipq_packet_msg {
	unsigned long packet_id;                   /* names the packet in a verdict; opaque */
	unsigned long mark;                        /* its netfilter mark */
	long timestamp_sec;                        /* when it arrived, since 1970; 0 if the kernel does not say */
	long timestamp_usec;                       /* and microseconds */
	unsigned int hook;                         /* where it was queued: 0 PRE_ROUTING to 4 POST_ROUTING */
	char indev_name[IPQ_DEVICE_NAME_SIZE];     /* the device it came in by, "" if none */
	char outdev_name[IPQ_DEVICE_NAME_SIZE];    /* the device it is to leave by, "" if none */
	unsigned short hw_protocol;                /* in NETWORK byte order: 0x0800 IPv4, 0x86dd IPv6 */
	unsigned short hw_type;                    /* of the device it came in by: ARPHRD_ETHER is 1 */
	unsigned char hw_addrlen;                  /* bytes of hw_addr that count */
	unsigned char hw_addr[8];                  /* the sender's link-layer address */
	size_t data_len;                           /* bytes of payload that follow; 0 with IPQ_COPY_META */
	__extension__ unsigned char payload[0];    /* the packet from its IP header on */
} ipq_packet_msg_t;

/* Program to kernel: how much of each packet is wanted (IPQM_MODE). */
typedef struct ipq_mode_msg {
	unsigned char value;                       /* IPQ_COPY_... */
	size_t range;                              /* bytes of payload; 0 is the whole packet */
} ipq_mode_msg_t;

/* Program to kernel: what becomes of a packet (IPQM_VERDICT). */
typedef struct ipq_verdict_msg {
	unsigned int value;                        /* NF_ACCEPT and so on, of <linux/netfilter.h> */
	unsigned long id;                          /* packet_id of the packet */
	size_t data_len;                           /* bytes of the replacement that follows; 0 if none does */
	__extension__ unsigned char payload[0];    /* the packet that takes its place */
} ipq_verdict_msg_t;

/* Either of what a program sends. The kernel takes no message shorter than this. */
typedef struct ipq_peer_msg {
	union {
		ipq_verdict_msg_t verdict;
		ipq_mode_msg_t mode;
	} msg;
} ipq_peer_msg_t;

/* How much of a packet is copied. */
enum {
	IPQ_COPY_NONE,                             /* nothing: packets are dropped */
	IPQ_COPY_META,                             /* what is known of it */
	IPQ_COPY_PACKET                            /* that and its payload */
};
#define IPQ_COPY_MAX IPQ_COPY_PACKET

/* Types of messages. */
#define IPQM_BASE 0x10
#define IPQM_MODE (IPQM_BASE + 1)
#define IPQM_VERDICT (IPQM_BASE + 2)
#define IPQM_PACKET (IPQM_BASE + 3)
#define IPQM_MAX (IPQM_BASE + 4)

#endif
