/*
 * From fields to bytes.
 */
#ifndef IPQ_BENCH_CODEC_WRITE_H
#define IPQ_BENCH_CODEC_WRITE_H

#include "codec_messages.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>

static const uint8_t address[8] = { 2, 0, 0, 0, 0, 0xbb };

static struct nlmsghdr header(uint16_t type, uint16_t flags, uint32_t sequence, size_t length)
{
	return (struct nlmsghdr){ .nlmsg_len = (uint32_t)length, .nlmsg_type = type,
				  .nlmsg_flags = flags, .nlmsg_seq = sequence };
}

static struct head request(uint16_t type, uint16_t queue, uint32_t sequence, size_t length)
{
	return (struct head){
		.netlink = header(NFNL_SUBSYS_QUEUE << 8 | type, NLM_F_REQUEST, sequence, length),
		.netfilter = { .version = NFNETLINK_V0, .res_id = htons(queue) },
	};
}

static struct nlattr attribute_header(uint16_t type, size_t length)
{
	return (struct nlattr){ .nla_len = (uint16_t)(NLA_HDRLEN + length), .nla_type = type };
}

/* What is to be written; the compiler is not to know it. */
struct input {
	uint16_t queue;
	uint32_t id, verdict, mark, range, sequence;
	uint64_t address, seconds, microseconds;
	uint32_t devices[2], owner[2], info;
	struct span payload;
};

static size_t encode_ip_queue_packet(uint8_t *buffer, const struct input *in)
{
	struct ipq_packet *out = (void *)buffer;
	size_t length = sizeof(*out) + in->payload.length;

	*out = (struct ipq_packet){
		.netlink = header(IPQM_PACKET, 0, 0, length),
		.id = in->address, .mark = in->mark, .seconds = (long)in->seconds,
		.microseconds = (long)in->microseconds, .hook = NF_INET_LOCAL_IN, .input = "eth0",
		.hw_protocol = htons(0x0800), .hw_type = 1, .hw_addrlen = 6, .data_len = in->payload.length,
	};
	memcpy(out->hw_addr, address, sizeof(address));
	memcpy(out->payload, in->payload.at, in->payload.length);
	return length;
}

static size_t encode_ip_queue_verdict(uint8_t *buffer, const struct input *in)
{
	struct ipq_verdict *out = (void *)buffer;

	*out = (struct ipq_verdict){ .netlink = header(IPQM_VERDICT, NLM_F_REQUEST, in->sequence, sizeof(*out)),
				     .value = in->verdict, .id = in->address };
	return sizeof(*out);
}

static size_t encode_ip_queue_mode(uint8_t *buffer, const struct input *in)
{
	struct ipq_mode *out = (void *)buffer;

	*out = (struct ipq_mode){ .netlink = header(IPQM_MODE, NLM_F_REQUEST, in->sequence, sizeof(*out)),
				  .value = 2, .range = in->range };
	return sizeof(*out);
}

static uint8_t *put_number(uint8_t *at, uint16_t type, uint32_t value)
{
	struct { struct nlattr attribute; uint32_t value; } *out = (void *)at;

	out->attribute = attribute_header(type, sizeof(value));
	out->value = htonl(value);
	return at + sizeof(*out);
}

static uint8_t *put_data(uint8_t *at, uint16_t type, const void *data, size_t length)
{
	*(struct nlattr *)at = attribute_header(type, length);
	memcpy(at + NLA_HDRLEN, data, length);
	memset(at + NLA_HDRLEN + length, 0, NLA_ALIGN(length) - length);
	return at + NLA_HDRLEN + NLA_ALIGN(length);
}

static size_t encode_nfqueue_packet(uint8_t *buffer, const struct input *in)
{
	struct head *head = (void *)buffer;
	struct nfqnl_msg_packet_hdr packet = { htonl(in->id), htons(0x0800), NF_INET_LOCAL_IN };
	struct nfqnl_msg_packet_hw hw = { .hw_addrlen = htons(6) };
	struct nfqnl_msg_packet_timestamp time = { htobe64(in->seconds), htobe64(in->microseconds) };
	uint8_t *at = (uint8_t *)(head + 1);

	memcpy(hw.hw_addr, address, sizeof(address));
	at = put_data(at, NFQA_PACKET_HDR, &packet, sizeof(packet));
	at = put_number(at, NFQA_IFINDEX_INDEV, in->devices[0]);
	at = put_number(at, NFQA_IFINDEX_OUTDEV, in->devices[1]);
	at = put_number(at, NFQA_MARK, in->mark);
	at = put_data(at, NFQA_HWADDR, &hw, sizeof(hw));
	at = put_data(at, NFQA_TIMESTAMP, &time, sizeof(time));
	at = put_number(at, NFQA_UID, in->owner[0]);
	at = put_number(at, NFQA_GID, in->owner[1]);
	at = put_number(at, NFQA_SKB_INFO, in->info);
	at = put_data(at, NFQA_PAYLOAD, in->payload.at, in->payload.length);
	*head = (struct head){
		.netlink = header(NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET, 0, 0, (size_t)(at - buffer)),
		.netfilter = { .nfgen_family = NFPROTO_IPV4, .res_id = htons(in->queue) },
	};
	return (size_t)(at - buffer);
}

struct verdict_message {
	struct head head;
	struct nlattr attribute;
	struct nfqnl_msg_verdict_hdr header;
};

static inline void put_verdict(uint8_t *buffer, const struct input *in, uint16_t type, size_t length)
{
	*(struct verdict_message *)buffer = (struct verdict_message){
		.head = request(type, in->queue, in->sequence, length),
		.attribute = attribute_header(NFQA_VERDICT_HDR, sizeof(struct nfqnl_msg_verdict_hdr)),
		.header = { htonl(in->verdict), htonl(in->id) },
	};
}

static size_t encode_nfqueue_verdict(uint8_t *buffer, const struct input *in)
{
	put_verdict(buffer, in, NFQNL_MSG_VERDICT, sizeof(struct verdict_message));
	return sizeof(struct verdict_message);
}

static size_t encode_nfqueue_batch(uint8_t *buffer, const struct input *in)
{
	put_verdict(buffer, in, NFQNL_MSG_VERDICT_BATCH, sizeof(struct verdict_message));
	return sizeof(struct verdict_message);
}

static size_t encode_nfqueue_replacement(uint8_t *buffer, const struct input *in)
{
	size_t length = sizeof(struct verdict_message) + NLA_HDRLEN + in->payload.length;

	put_verdict(buffer, in, NFQNL_MSG_VERDICT, length);
	put_data(buffer + sizeof(struct verdict_message), NFQA_PAYLOAD, in->payload.at, in->payload.length);
	return length;
}

static size_t encode_nfqueue_config(uint8_t *buffer, const struct input *in)
{
	struct {
		struct head head;
		struct nlattr attribute;
		uint32_t range;
		uint8_t mode, padding[3];
	} *out = (void *)buffer;

	out->head = request(NFQNL_MSG_CONFIG, in->queue, in->sequence, sizeof(*out));
	out->attribute = attribute_header(NFQA_CFG_PARAMS, sizeof(struct nfqnl_msg_config_params));
	out->range = htonl(in->range);
	out->mode = NFQNL_COPY_PACKET;
	memset(out->padding, 0, sizeof(out->padding));
	return sizeof(*out);
}

#endif
