/*
 * Puts another packet in each one's place: the same, but that the text in it is in capitals, and longer by an
 * exclamation mark. IPv4 and UDP only.
 *
 * COUNT: replaces COUNT packets.
 */
#include "program.h"

#include <ctype.h>

#define UDP_HEADER 8

static unsigned int get16(const unsigned char *bytes)
{
	return (unsigned int)bytes[0] << 8 | bytes[1];
}

static void put16(unsigned char *bytes, unsigned int value)
{
	bytes[0] = (unsigned char)(value >> 8);
	bytes[1] = (unsigned char)value;
}

/* The sum of 16-bit words that checksums of the Internet are made of. */
static unsigned long sum(const unsigned char *bytes, size_t length, unsigned long start)
{
	size_t i;

	for (i = 0; i + 1 < length; i += 2)
		start += get16(bytes + i);
	if (length % 2)
		start += (unsigned long)bytes[length - 1] << 8;
	return start;
}

static unsigned int checksum(unsigned long total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (unsigned int)(~total & 0xffff);
}

/* Changes the packet; returns its new length. There is room for one more byte. */
static size_t change(unsigned char *packet, size_t length)
{
	size_t header = (size_t)(packet[0] & 15) * 4, udp_length, i;
	unsigned char *udp = packet + header;
	unsigned int udp_checksum;

	expect(packet[0] >> 4 == 4 && packet[9] == IPPROTO_UDP && length > header + UDP_HEADER);
	for (i = header + UDP_HEADER; i < length; i++)
		packet[i] = (unsigned char)toupper(packet[i]);
	packet[length++] = '!';

	put16(packet + 2, (unsigned int)length);
	put16(packet + 10, 0);
	put16(packet + 10, checksum(sum(packet, header, 0)));

	udp_length = length - header;
	put16(udp + 4, (unsigned int)udp_length);
	put16(udp + 6, 0);
	udp_checksum = checksum(sum(udp, udp_length, sum(packet + 12, 8, IPPROTO_UDP + udp_length)));
	put16(udp + 6, udp_checksum ? udp_checksum : 0xffff);
	return length;
}

int main(int argc, char **argv)
{
	static unsigned char buffer[BUFFER_SIZE], packet[BUFFER_SIZE];
	struct ipq_handle *h;
	long count;

	if (argc != 2)
		return 2;
	begin();
	h = open_queue(NFPROTO_IPV4, IPQ_COPY_PACKET, 0);
	puts("ready");
	for (count = atol(argv[1]); count > 0; count--) {
		const ipq_packet_msg_t *queued = next_packet(h, buffer, sizeof(buffer));
		size_t length;
		int sent;

		memcpy(packet, queued->payload, queued->data_len);
		length = change(packet, queued->data_len);
		sent = ipq_set_verdict(h, queued->packet_id, NF_ACCEPT, length, packet);
		expect(sent == (int)(sizeof(struct nlmsghdr) + sizeof(ipq_peer_msg_t) + length));
		printf("replaced %zu bytes by %zu\n", queued->data_len, length);
	}
	close_queue(h);
	return 0;
}
