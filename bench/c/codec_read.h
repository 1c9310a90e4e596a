/*
 * From bytes to fields, and a digest of the fields that is the one of `src/codec.rs`.
 */
#ifndef IPQ_BENCH_CODEC_READ_H
#define IPQ_BENCH_CODEC_READ_H

#include "codec_messages.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdbool.h>
#include <string.h>

/* What is read, whatever the message. */
struct ip_queue_packet {
	uint64_t id, mark;
	int64_t seconds, microseconds;
	uint32_t hook;
	uint16_t hw_protocol, hw_type;
	uint8_t input[16], output[16], address_length, address[8];
	struct span payload;
};

struct ip_queue_verdict {
	uint64_t id, data_len;
	uint32_t verdict;
	struct span data;
};

struct ip_queue_mode {
	uint64_t range;
	uint8_t value;
};

/* A number that may be missing. */
struct number {
	bool is_there;
	uint32_t value;
};

struct nfqueue_packet {
	uint8_t family, hook, address_length, address[8];
	uint16_t queue, hw_protocol, vlan_protocol, vlan_tci;
	uint32_t id;
	bool has_timestamp, has_address, has_vlan;
	uint64_t seconds, microseconds;
	struct number mark, input, output, physical_input, physical_output, packet_length, skb_info;
	struct number uid, gid, conntrack_info, priority;
	struct span security_context, conntrack, link_header, payload;
};

struct nfqueue_verdict {
	uint16_t queue;
	bool is_there;
	uint32_t id, verdict;
	struct number mark, priority;
	struct span replacement;
};

struct nfqueue_config {
	uint16_t queue;
	bool has_command, has_params;
	uint8_t command, mode;
	uint16_t family;
	uint32_t range;
	struct number max_length, flags, mask;
};

union decoded {
	struct ip_queue_packet ip_queue_packet;
	struct ip_queue_verdict ip_queue_verdict;
	struct ip_queue_mode ip_queue_mode;
	struct nfqueue_packet nfqueue_packet;
	struct nfqueue_verdict nfqueue_verdict;
	struct nfqueue_config nfqueue_config;
};

/* Whether a whole message of this type is there. */
static inline bool is_message(const void *bytes, size_t length, uint16_t type, size_t fixed)
{
	const struct nlmsghdr *header = bytes;

	return length >= fixed && header->nlmsg_len >= fixed && header->nlmsg_len <= length &&
	       header->nlmsg_type == type;
}

static inline struct span data_of(const struct nlattr *attribute)
{
	return (struct span){ (const uint8_t *)(attribute + 1), attribute->nla_len - NLA_HDRLEN };
}

static inline struct number number_of(const struct nlattr *attribute)
{
	return (struct number){ true, ntohl(*(const uint32_t *)(attribute + 1)) };
}

/* The attribute at `at`, if it is inside of what ends at `end`. */
static inline const struct nlattr *attribute_at(const uint8_t *at, const uint8_t *end)
{
	const struct nlattr *attribute = (const void *)at;

	if (end - at < NLA_HDRLEN || attribute->nla_len < NLA_HDRLEN || attribute->nla_len > end - at)
		return NULL;
	return attribute;
}

#define FOR_EACH_ATTRIBUTE(attribute, at, end)                  \
	for (; ((attribute) = attribute_at(at, end));           \
	     (at) += NLA_ALIGN((attribute)->nla_len))

static bool decode_ip_queue_packet(const void *bytes, size_t length, union decoded *decoded)
{
	struct ip_queue_packet *out = &decoded->ip_queue_packet;
	const struct ipq_packet *in = bytes;

	if (!is_message(bytes, length, IPQM_PACKET, sizeof(*in)) ||
	    in->data_len > in->netlink.nlmsg_len - sizeof(*in))
		return false;
	out->id = in->id;
	out->mark = in->mark;
	out->seconds = in->seconds;
	out->microseconds = in->microseconds;
	out->hook = in->hook;
	out->hw_protocol = ntohs(in->hw_protocol);
	out->hw_type = in->hw_type;
	memcpy(out->input, in->input, sizeof(out->input));
	memcpy(out->output, in->output, sizeof(out->output));
	out->address_length = in->hw_addrlen;
	memcpy(out->address, in->hw_addr, sizeof(out->address));
	out->payload = (struct span){ in->payload, in->data_len };
	return true;
}

static bool decode_ip_queue_verdict(const void *bytes, size_t length, union decoded *decoded)
{
	struct ip_queue_verdict *out = &decoded->ip_queue_verdict;
	const struct ipq_verdict *in = bytes;

	if (!is_message(bytes, length, IPQM_VERDICT, sizeof(*in)))
		return false;
	out->id = in->id;
	out->verdict = in->value;
	out->data_len = in->data_len;
	out->data = (struct span){ (const uint8_t *)(in + 1), in->netlink.nlmsg_len - sizeof(*in) };
	return true;
}

static bool decode_ip_queue_mode(const void *bytes, size_t length, union decoded *decoded)
{
	const struct ipq_mode *in = bytes;

	if (!is_message(bytes, length, IPQM_MODE, sizeof(*in)))
		return false;
	decoded->ip_queue_mode = (struct ip_queue_mode){ in->range, in->value };
	return true;
}

static void read_vlan(struct nfqueue_packet *out, struct span data)
{
	const uint8_t *at = data.at, *end = data.at + data.length;
	const struct nlattr *attribute;

	out->has_vlan = true;
	FOR_EACH_ATTRIBUTE(attribute, at, end) {
		uint16_t value = ntohs(*(const uint16_t *)(attribute + 1));

		if ((attribute->nla_type & NLA_TYPE_MASK) == NFQA_VLAN_PROTO)
			out->vlan_protocol = value;
		else if ((attribute->nla_type & NLA_TYPE_MASK) == NFQA_VLAN_TCI)
			out->vlan_tci = value;
	}
}

static inline void read_packet_attribute(struct nfqueue_packet *out, const struct nlattr *attribute)
{
	const void *data = attribute + 1;

	switch (attribute->nla_type & NLA_TYPE_MASK) {
	case NFQA_PACKET_HDR: {
		const struct nfqnl_msg_packet_hdr *header = data;

		out->id = ntohl(header->packet_id);
		out->hw_protocol = ntohs(header->hw_protocol);
		out->hook = header->hook;
		break;
	}
	case NFQA_TIMESTAMP: {
		const struct nfqnl_msg_packet_timestamp *time = data;

		out->has_timestamp = true;
		out->seconds = be64toh(time->sec);
		out->microseconds = be64toh(time->usec);
		break;
	}
	case NFQA_HWADDR: {
		const struct nfqnl_msg_packet_hw *hw = data;

		out->has_address = true;
		out->address_length = (uint8_t)ntohs(hw->hw_addrlen);
		memcpy(out->address, hw->hw_addr, sizeof(out->address));
		break;
	}
	case NFQA_MARK: out->mark = number_of(attribute); break;
	case NFQA_IFINDEX_INDEV: out->input = number_of(attribute); break;
	case NFQA_IFINDEX_OUTDEV: out->output = number_of(attribute); break;
	case NFQA_IFINDEX_PHYSINDEV: out->physical_input = number_of(attribute); break;
	case NFQA_IFINDEX_PHYSOUTDEV: out->physical_output = number_of(attribute); break;
	case NFQA_PAYLOAD: out->payload = data_of(attribute); break;
	case NFQA_CT: out->conntrack = data_of(attribute); break;
	case NFQA_CT_INFO: out->conntrack_info = number_of(attribute); break;
	case NFQA_CAP_LEN: out->packet_length = number_of(attribute); break;
	case NFQA_SKB_INFO: out->skb_info = number_of(attribute); break;
	case NFQA_UID: out->uid = number_of(attribute); break;
	case NFQA_GID: out->gid = number_of(attribute); break;
	case NFQA_SECCTX: out->security_context = data_of(attribute); break;
	case NFQA_VLAN: read_vlan(out, data_of(attribute)); break;
	case NFQA_L2HDR: out->link_header = data_of(attribute); break;
	case NFQA_PRIORITY: out->priority = number_of(attribute); break;
	}
}

static bool decode_nfqueue_packet(const void *bytes, size_t length, union decoded *decoded)
{
	const struct head *head = bytes;
	struct nfqueue_packet *out = &decoded->nfqueue_packet;
	const struct nlattr *attribute;
	const uint8_t *at, *end;

	if (!is_message(bytes, length, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET, sizeof(*head)))
		return false;
	*out = (struct nfqueue_packet){ .family = head->netfilter.nfgen_family,
					.queue = ntohs(head->netfilter.res_id) };
	at = (const uint8_t *)(head + 1);
	end = (const uint8_t *)bytes + head->netlink.nlmsg_len;
	FOR_EACH_ATTRIBUTE(attribute, at, end)
		read_packet_attribute(out, attribute);
	return true;
}

static inline bool decode_verdict(const void *bytes, size_t length, uint16_t type, union decoded *decoded)
{
	const struct head *head = bytes;
	struct nfqueue_verdict *out = &decoded->nfqueue_verdict;
	const struct nlattr *attribute;
	const uint8_t *at, *end;

	if (!is_message(bytes, length, type, sizeof(*head)))
		return false;
	*out = (struct nfqueue_verdict){ .queue = ntohs(head->netfilter.res_id) };
	at = (const uint8_t *)(head + 1);
	end = (const uint8_t *)bytes + head->netlink.nlmsg_len;
	FOR_EACH_ATTRIBUTE(attribute, at, end) {
		switch (attribute->nla_type & NLA_TYPE_MASK) {
		case NFQA_VERDICT_HDR: {
			const struct nfqnl_msg_verdict_hdr *header = (const void *)(attribute + 1);

			out->is_there = true;
			out->verdict = ntohl(header->verdict);
			out->id = ntohl(header->id);
			break;
		}
		case NFQA_MARK: out->mark = number_of(attribute); break;
		case NFQA_PRIORITY: out->priority = number_of(attribute); break;
		case NFQA_PAYLOAD: out->replacement = data_of(attribute); break;
		}
	}
	return out->is_there;
}

static bool decode_nfqueue_replacement(const void *bytes, size_t length, union decoded *decoded)
{
	return decode_verdict(bytes, length, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT, decoded);
}

static bool decode_nfqueue_verdict(const void *bytes, size_t length, union decoded *decoded)
{
	return decode_verdict(bytes, length, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT, decoded);
}

static bool decode_nfqueue_batch(const void *bytes, size_t length, union decoded *decoded)
{
	return decode_verdict(bytes, length, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT_BATCH, decoded);
}

static bool decode_nfqueue_config(const void *bytes, size_t length, union decoded *decoded)
{
	const struct head *head = bytes;
	struct nfqueue_config *out = &decoded->nfqueue_config;
	const struct nlattr *attribute;
	const uint8_t *at, *end;

	if (!is_message(bytes, length, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG, sizeof(*head)))
		return false;
	*out = (struct nfqueue_config){ .queue = ntohs(head->netfilter.res_id) };
	at = (const uint8_t *)(head + 1);
	end = (const uint8_t *)bytes + head->netlink.nlmsg_len;
	FOR_EACH_ATTRIBUTE(attribute, at, end) {
		switch (attribute->nla_type & NLA_TYPE_MASK) {
		case NFQA_CFG_CMD: {
			const struct nfqnl_msg_config_cmd *command = (const void *)(attribute + 1);

			out->has_command = true;
			out->command = command->command;
			out->family = ntohs(command->pf);
			break;
		}
		case NFQA_CFG_PARAMS: {
			const struct nfqnl_msg_config_params *params = (const void *)(attribute + 1);

			out->has_params = true;
			out->range = ntohl(params->copy_range);
			out->mode = params->copy_mode;
			break;
		}
		case NFQA_CFG_QUEUE_MAXLEN: out->max_length = number_of(attribute); break;
		case NFQA_CFG_FLAGS: out->flags = number_of(attribute); break;
		case NFQA_CFG_MASK: out->mask = number_of(attribute); break;
		}
	}
	return true;
}

static uint64_t digest_of(const void *bytes, size_t length)
{
	const uint8_t *byte = bytes;
	uint64_t sum = length;

	for (size_t i = 0; i < length; i++)
		sum = sum * 31 + byte[i];
	return sum;
}

static uint64_t digest_ip_queue_packet(const union decoded *decoded)
{
	const struct ip_queue_packet *p = &decoded->ip_queue_packet;

	return p->id + p->mark + (uint64_t)p->seconds + (uint64_t)p->microseconds + p->hook +
	       p->hw_protocol + p->hw_type + digest_of(p->input, sizeof(p->input)) +
	       digest_of(p->output, sizeof(p->output)) + digest_of(p->address, sizeof(p->address)) +
	       digest_of(p->payload.at, p->payload.length);
}

static uint64_t digest_ip_queue_verdict(const union decoded *decoded)
{
	const struct ip_queue_verdict *v = &decoded->ip_queue_verdict;

	return v->id + v->verdict + v->data_len;
}

static uint64_t digest_ip_queue_mode(const union decoded *decoded)
{
	return decoded->ip_queue_mode.value + decoded->ip_queue_mode.range;
}

static uint64_t digest_nfqueue_packet(const union decoded *decoded)
{
	const struct nfqueue_packet *p = &decoded->nfqueue_packet;

	return (uint64_t)p->id + p->hook + p->queue + p->hw_protocol + p->mark.value + p->input.value +
	       p->output.value + p->uid.value + p->gid.value + p->skb_info.value + p->seconds +
	       p->microseconds + digest_of(p->address, sizeof(p->address)) +
	       digest_of(p->payload.at, p->payload.length);
}

static uint64_t digest_nfqueue_verdict(const union decoded *decoded)
{
	const struct nfqueue_verdict *v = &decoded->nfqueue_verdict;
	uint64_t replacement = v->replacement.at ? digest_of(v->replacement.at, v->replacement.length) : 0;

	return (uint64_t)v->id + v->verdict + v->queue + v->mark.value + replacement;
}

static uint64_t digest_nfqueue_config(const union decoded *decoded)
{
	const struct nfqueue_config *c = &decoded->nfqueue_config;

	return (uint64_t)c->queue + c->mode + c->range;
}

#endif
