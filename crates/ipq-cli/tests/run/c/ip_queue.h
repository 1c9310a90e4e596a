/*
 * The interface of ip_queue, restated from its description for programs that speak it themselves: today's systems do not
 * have the header.
 */
#ifndef IP_QUEUE_H
#define IP_QUEUE_H

#include <stddef.h>

enum { FIREWALL = 3, IP6_FW = 13 };
enum { IPQM_MODE = 0x11, IPQM_VERDICT = 0x12, IPQM_PACKET = 0x13 };
enum { COPY_NONE, COPY_META, COPY_PACKET };
enum { VERDICT_DROP, VERDICT_ACCEPT };

struct packet_message {
	unsigned long id;
	unsigned long mark;
	long seconds;
	long microseconds;
	unsigned int hook;
	char indev[16];
	char outdev[16];
	unsigned short protocol;
	unsigned short hw_type;
	unsigned char hw_len;
	unsigned char hw_address[8];
	size_t data_len;
	unsigned char payload[];
};

struct mode_message {
	unsigned char value;
	size_t range;
};

struct verdict_message {
	unsigned int value;
	unsigned long id;
	size_t data_len;
	unsigned char payload[];
};

/* The kernel wants at least as much. */
union peer_message {
	struct mode_message mode;
	struct verdict_message verdict;
};

#endif
