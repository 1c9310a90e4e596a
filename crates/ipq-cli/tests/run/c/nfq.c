/*
 * A program of libnetfilter_queue, as its documentation has them: a queue, a callback, a loop of recv and nfq_handle_packet.
 *
 * nfq [-q QUEUE] [-n COUNT] [-m]
 *
 * Says what it knows of each packet, and drops every fourth. -m marks those that it accepts.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libnetfilter_queue/libnetfilter_queue.h>

static long packets, bytes, dropped;
static int marks;

static int callback(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *data, void *unused)
{
	struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(data);
	struct nfqnl_msg_packet_hw *hardware = nfq_get_packet_hw(data);
	unsigned char *payload;
	int len = nfq_get_payload(data, &payload);
	uint32_t id = ntohl(header->packet_id);

	(void)message;
	(void)unused;
	packets++;
	bytes += len;
	printf("packet %u protocol %#x hook %u device %u hardware %d length %d version %d\n", id,
	       ntohs(header->hw_protocol), header->hook, nfq_get_indev(data), hardware ? ntohs(hardware->hw_addrlen) : 0,
	       len, len > 0 ? payload[0] >> 4 : 0);
	if (packets % 4 == 0) {
		dropped++;
		return nfq_set_verdict(queue, id, NF_DROP, 0, NULL);
	}
	if (marks)
		return nfq_set_verdict2(queue, id, NF_ACCEPT, 7, 0, NULL);
	return nfq_set_verdict(queue, id, NF_ACCEPT, len, payload);
}

int main(int argc, char **argv)
{
	struct nfq_handle *handle;
	struct nfq_q_handle *queue;
	char buffer[0x10000] __attribute__((aligned));
	long count = 10;
	int number = 0, option, fd;

	while ((option = getopt(argc, argv, "mn:q:")) != -1) {
		switch (option) {
		case 'm': marks = 1; break;
		case 'n': count = atol(optarg); break;
		case 'q': number = atoi(optarg); break;
		default: return 2;
		}
	}
	handle = nfq_open();
	if (!handle) {
		perror("nfq_open");
		return 1;
	}
	if (nfq_unbind_pf(handle, AF_INET) < 0 || nfq_bind_pf(handle, AF_INET) < 0) {
		perror("nfq_bind_pf");
		return 1;
	}
	queue = nfq_create_queue(handle, number, callback, NULL);
	if (!queue || nfq_set_mode(queue, NFQNL_COPY_PACKET, 0xffff) < 0 || nfq_set_queue_maxlen(queue, 2048) < 0) {
		perror("nfq_create_queue");
		return 1;
	}
	fd = nfq_fd(handle);
	while (packets < count) {
		ssize_t got = recv(fd, buffer, sizeof(buffer), 0);

		if (got < 0 && errno == ENOBUFS)
			continue;
		if (got < 0) {
			perror("recv");
			return 1;
		}
		nfq_handle_packet(handle, buffer, got);
	}
	nfq_destroy_queue(queue);
	nfq_close(handle);
	printf("packets %ld, bytes %ld, dropped %ld\n", packets, bytes, dropped);
	return 0;
}
