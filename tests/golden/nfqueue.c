/*
 * The nfnetlink_queue messages as a C compiler lays them out: a datagram with one message of each kind, made of
 * the structures and constants in the uapi headers alone.
 *
 * `cargo xtask golden` compiles it for 64 and for 32 bits, and nfqueue_big.c as for a big-endian kernel. Each field
 * has a value of its own, so that two that change places are noticed.
 */

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

#define PACKED __attribute__((packed))

/* Numbers in network order. */
#ifdef BIG_ENDIAN_KERNEL
#define SECTION_NAME ".g_nfqueue_big"
#define NET16(number) (number)
#define NET32(number) (number)
#define NET64(number) (number)
#else
#define SECTION_NAME ".g_nfqueue"
#define NET16(number) __builtin_bswap16(number)
#define NET32(number) __builtin_bswap32(number)
#define NET64(number) __builtin_bswap64(number)
#endif

/* An attribute, and the bytes that fill it up to a multiple of 4. */
#define ATTRIBUTE(name, type, padding)     \
	struct {                           \
		struct nlattr header;      \
		type data;                 \
		__u8 padding_[padding];    \
	} PACKED name;                     \
	_Static_assert((sizeof(struct nlattr) + sizeof(type) + (padding)) % NLA_ALIGNTO == 0, #name)

#define SET(name, type, kind, ...) \
	.name = { .header = { NLA_HDRLEN + sizeof(type), kind }, .data = __VA_ARGS__ }

#define BYTES(name, len) \
	typedef struct { __u8 bytes[len]; } name

BYTES(three_bytes, 3);
BYTES(five_bytes, 5);
BYTES(seven_bytes, 7);
BYTES(eight_bytes, 8);
BYTES(fourteen_bytes, 14);

#define TYPE(message) (NFNL_SUBSYS_QUEUE << 8 | (message))
#define QUEUE(number) { 0, NFNETLINK_V0, NET16(number) }

typedef struct {
	ATTRIBUTE(protocol, __be16, 2);
	ATTRIBUTE(tci, __be16, 2);
} PACKED vlan;

struct packet {
	struct nlmsghdr header;
	struct nfgenmsg generic;
	ATTRIBUTE(packet_header, struct nfqnl_msg_packet_hdr, 1);
	ATTRIBUTE(indev, __be32, 0);
	ATTRIBUTE(physindev, __be32, 0);
	ATTRIBUTE(outdev, __be32, 0);
	ATTRIBUTE(physoutdev, __be32, 0);
	ATTRIBUTE(mark, __be32, 0);
	ATTRIBUTE(priority, __be32, 0);
	ATTRIBUTE(hwaddr, struct nfqnl_msg_packet_hw, 0);
	ATTRIBUTE(vlan, vlan, 0);
	ATTRIBUTE(l2hdr, fourteen_bytes, 2);
	ATTRIBUTE(timestamp, struct nfqnl_msg_packet_timestamp, 0);
	ATTRIBUTE(uid, __be32, 0);
	ATTRIBUTE(gid, __be32, 0);
	ATTRIBUTE(secctx, seven_bytes, 1);
	ATTRIBUTE(ct, eight_bytes, 0);
	ATTRIBUTE(ct_info, __be32, 0);
	ATTRIBUTE(cap_len, __be32, 0);
	ATTRIBUTE(skb_info, __be32, 0);
	ATTRIBUTE(payload, five_bytes, 3);
} PACKED;

/* The datagram: each message starts at a multiple of 4. */
struct datagram {
	struct {
		struct nlmsghdr header;
		struct nfgenmsg generic;
		ATTRIBUTE(command, struct nfqnl_msg_config_cmd, 0);
	} PACKED command;
	struct {
		struct nlmsghdr header;
		struct nfgenmsg generic;
		ATTRIBUTE(params, struct nfqnl_msg_config_params, 3);
	} PACKED params;
	struct {
		struct nlmsghdr header;
		struct nfgenmsg generic;
		ATTRIBUTE(max_length, __be32, 0);
	} PACKED max_length;
	struct {
		struct nlmsghdr header;
		struct nfgenmsg generic;
		ATTRIBUTE(flags, __be32, 0);
		ATTRIBUTE(mask, __be32, 0);
	} PACKED flags;
	struct {
		struct nlmsghdr header;
		struct nfgenmsg generic;
		ATTRIBUTE(verdict, struct nfqnl_msg_verdict_hdr, 0);
		ATTRIBUTE(mark, __be32, 0);
		ATTRIBUTE(payload, three_bytes, 1);
	} PACKED verdict;
	struct {
		struct nlmsghdr header;
		struct nfgenmsg generic;
		ATTRIBUTE(verdict, struct nfqnl_msg_verdict_hdr, 0);
	} PACKED batch;
	struct packet packet;
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} PACKED acknowledgement;
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		struct nfgenmsg rest;
	} PACKED error;
} PACKED;

/* The length of a message, without the padding of its last attribute. */
#define LEN(message, padding) (sizeof(((struct datagram *)0)->message) - (padding))

__attribute__((used, section(SECTION_NAME))) const struct datagram golden_nfqueue = {
	.command = {
		.header = { LEN(command, 0), TYPE(NFQNL_MSG_CONFIG), NLM_F_REQUEST | NLM_F_ACK,
			    0x01020304, 0x11121314 },
		.generic = QUEUE(0x2122),
		SET(command, struct nfqnl_msg_config_cmd, NFQA_CFG_CMD,
		    { .command = NFQNL_CFG_CMD_PF_BIND, .pf = NET16(0x3132) }),
	},
	.params = {
		.header = { LEN(params, 0), TYPE(NFQNL_MSG_CONFIG), NLM_F_REQUEST, 0x0102, 0x0304 },
		.generic = QUEUE(0x0506),
		SET(params, struct nfqnl_msg_config_params, NFQA_CFG_PARAMS,
		    { .copy_range = NET32(0x41424344), .copy_mode = NFQNL_COPY_PACKET }),
	},
	.max_length = {
		.header = { LEN(max_length, 0), TYPE(NFQNL_MSG_CONFIG), NLM_F_REQUEST, 1, 2 },
		.generic = QUEUE(3),
		SET(max_length, __be32, NFQA_CFG_QUEUE_MAXLEN, NET32(0x51525354)),
	},
	.flags = {
		.header = { LEN(flags, 0), TYPE(NFQNL_MSG_CONFIG), NLM_F_REQUEST, 1, 2 },
		.generic = QUEUE(3),
		SET(flags, __be32, NFQA_CFG_FLAGS,
		    NET32(NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_GSO | NFQA_CFG_F_SECCTX)),
		SET(mask, __be32, NFQA_CFG_MASK, NET32(NFQA_CFG_F_MAX - 1)),
	},
	.verdict = {
		.header = { LEN(verdict, 1), TYPE(NFQNL_MSG_VERDICT), NLM_F_REQUEST, 4, 5 },
		.generic = QUEUE(6),
		SET(verdict, struct nfqnl_msg_verdict_hdr, NFQA_VERDICT_HDR,
		    { .verdict = NET32(0x61626364), .id = NET32(0x71727374) }),
		SET(mark, __be32, NFQA_MARK, NET32(0x81828384)),
		SET(payload, three_bytes, NFQA_PAYLOAD, { { 0x91, 0x92, 0x93 } }),
	},
	.batch = {
		.header = { LEN(batch, 0), TYPE(NFQNL_MSG_VERDICT_BATCH), NLM_F_REQUEST, 7, 8 },
		.generic = QUEUE(9),
		SET(verdict, struct nfqnl_msg_verdict_hdr, NFQA_VERDICT_HDR,
		    { .verdict = NET32(1), .id = NET32(0xa1a2a3a4) }),
	},
	.packet = {
		.header = { LEN(packet, 3), TYPE(NFQNL_MSG_PACKET), 0, 0, 0 },
		.generic = { 10, NFNETLINK_V0, NET16(0xb1b2) },
		SET(packet_header, struct nfqnl_msg_packet_hdr, NFQA_PACKET_HDR,
		    { .packet_id = NET32(0xc1c2c3c4), .hw_protocol = NET16(0x86dd), .hook = 4 }),
		SET(indev, __be32, NFQA_IFINDEX_INDEV, NET32(0x01010101)),
		SET(physindev, __be32, NFQA_IFINDEX_PHYSINDEV, NET32(0x02020202)),
		SET(outdev, __be32, NFQA_IFINDEX_OUTDEV, NET32(0x03030303)),
		SET(physoutdev, __be32, NFQA_IFINDEX_PHYSOUTDEV, NET32(0x04040404)),
		SET(mark, __be32, NFQA_MARK, NET32(0x05060708)),
		SET(priority, __be32, NFQA_PRIORITY, NET32(0x11121314)),
		SET(hwaddr, struct nfqnl_msg_packet_hw, NFQA_HWADDR,
		    { .hw_addrlen = NET16(6), .hw_addr = { 2, 3, 4, 5, 6, 7, 8, 9 } }),
		SET(vlan, vlan, NLA_F_NESTED | NFQA_VLAN,
		    { SET(protocol, __be16, NFQA_VLAN_PROTO, NET16(0x88a8)),
		      SET(tci, __be16, NFQA_VLAN_TCI, NET16(0x6162)) }),
		SET(l2hdr, fourteen_bytes, NFQA_L2HDR,
		    { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 } }),
		SET(timestamp, struct nfqnl_msg_packet_timestamp, NFQA_TIMESTAMP,
		    { .sec = NET64(0x7172737475767778ull), .usec = NET64(0x8182838485868788ull) }),
		SET(uid, __be32, NFQA_UID, NET32(0x21222324)),
		SET(gid, __be32, NFQA_GID, NET32(0x31323334)),
		SET(secctx, seven_bytes, NFQA_SECCTX, { { 's', 'e', 'c', 'r', 'e', 't', 's' } }),
		SET(ct, eight_bytes, NFQA_CT, { { 8, 7, 6, 5, 4, 3, 2, 1 } }),
		SET(ct_info, __be32, NFQA_CT_INFO, NET32(0x41424344)),
		SET(cap_len, __be32, NFQA_CAP_LEN, NET32(0x51525354)),
		SET(skb_info, __be32, NFQA_SKB_INFO,
		    NET32(NFQA_SKB_CSUMNOTREADY | NFQA_SKB_CSUM_NOTVERIFIED)),
		SET(payload, five_bytes, NFQA_PAYLOAD, { { 0x60, 1, 2, 3, 4 } }),
	},
	.acknowledgement = {
		.header = { LEN(acknowledgement, 0), NLMSG_ERROR, 0x100, 10, 11 },
		.error = { 0, { 28, TYPE(NFQNL_MSG_CONFIG), NLM_F_REQUEST | NLM_F_ACK, 10, 11 } },
	},
	.error = {
		.header = { LEN(error, 0), NLMSG_ERROR, 0, 12, 13 },
		.error = { -2, { 20, TYPE(NFQNL_MSG_VERDICT), NLM_F_REQUEST, 12, 13 } },
		.rest = QUEUE(14),
	},
};
